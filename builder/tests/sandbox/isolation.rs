//! What a step cannot see or do.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::Command;

use builder::executor::{MountSource, Network, Tree};
use builder::rung::{ProcView, Rung};

use snapshotter::Ownership;

use super::Test;
use crate::harness::{Sandbox, Step, report};
use crate::{driver, probe, tests};

pub(crate) const TESTS: &[Test] = tests![
    a_step_is_alone_in_its_pid_namespace,
    processes_outside_are_out_of_reach,
    mount_related_calls_are_refused,
    docker_s_masked_paths_are_masked,
    docker_s_read_only_paths_are_read_only,
    devices_are_the_usual_ones,
    a_devices_place_in_the_image_is_not_looked_at,
    a_device_that_a_step_makes_cannot_be_opened,
    control_groups_cannot_be_changed,
    a_network_of_its_own_has_loopback_only,
    a_network_needs_no_capability_over_networks,
    the_default_network_is_croze_s,
    abstract_sockets_of_the_host_are_closed_off,
    parallel_steps_cannot_pass_descriptors,
    croze_s_own_program_cannot_be_written,
    the_seccomp_profile_answers_as_docker_s_does,
    threads_can_be_made_although_clone3_is_missing,
    the_old_root_is_gone,
];

fn a_step_is_alone_in_its_pid_namespace(sandbox: &Sandbox) {
    if sandbox.place.proc == ProcView::Bound {
        return;
    }
    assert_eq!(sandbox.sh("echo $$; echo /proc/[0-9]*").stdout(), "1\n/proc/1\n");
}

// Where a step sees the processes outside, all that it may know of them is that they are there.
fn processes_outside_are_out_of_reach(sandbox: &Sandbox) {
    if sandbox.place.proc == ProcView::New {
        return;
    }
    let script = "for monitor in /proc/$PPID /proc/$(sed -n 's/^PPid:.//p' /proc/$PPID/status); do \
        for f in environ maps mem exe cwd root fd/0 ns/mnt; do cat $monitor/$f >/dev/null && echo \"reached $monitor/$f\"; \
        done; ls $monitor/root; kill -9 ${monitor#/proc/} && echo killed; done; kill -9 -1; echo survived";
    let ran = sandbox.sh(script).run();
    assert_eq!(ran.report.stdout, "survived\n", "{:?}", ran.report);
    assert!(
        ran.report.stderr.matches("Permission denied").count() >= 16,
        "{:?}",
        ran.report
    );
    assert!(
        ran.report.stderr.matches("Operation not permitted").count() >= 2,
        "{:?}",
        ran.report
    );
}

// M18
fn mount_related_calls_are_refused(sandbox: &Sandbox) {
    for command in [
        "mount -t tmpfs t /tmp",
        "umount /proc",
        "umount -l /dev",
        "unshare -m true",
        "unshare -U true",
        "mount -o remount,rw /sys",
        "chroot / mount -t proc p /tmp",
    ] {
        let ran = sandbox.sh(command).run();
        assert_ne!(ran.report.exit, Ok(0), "{command}");
        assert!(
            ran.report.stderr.contains("Operation not permitted") || ran.report.stderr.contains("denied"),
            "{command}: {:?}",
            ran.report
        );
    }
    // chroot itself is allowed, as in Docker, where the step has a root of its own.
    if sandbox.place.rung != Rung::Ptrace {
        assert_eq!(sandbox.sh("chroot / echo yes").stdout(), "yes\n");
    }
}

// M8
fn docker_s_masked_paths_are_masked(sandbox: &Sandbox) {
    let script = "for f in kcore keys timer_list sched_debug interrupts; do [ -e /proc/$f ] && cat /proc/$f; done; \
        for d in /proc/acpi /proc/scsi /proc/asound /sys/firmware; do [ -e $d ] && ls -A $d; done; true";
    assert_eq!(sandbox.sh(script).stdout(), "");
    // The list is about real files: some of them exist on every machine, and have something to say.
    assert_eq!(sandbox.sh("ls -d /proc/keys").stdout(), "/proc/keys\n");
    assert!(!fs::read("/proc/timer_list").unwrap().is_empty());
}

// M8
fn docker_s_read_only_paths_are_read_only(sandbox: &Sandbox) {
    for path in [
        "/proc/sysrq-trigger",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/vm/drop_caches",
        "/proc/irq/0/x",
    ] {
        if !fs::exists(path).unwrap() {
            continue;
        }
        let ran = sandbox.sh(&format!("echo x >{path}")).run();
        assert_ne!(ran.report.exit, Ok(0), "{path}");
        assert!(
            ran.report.stderr.contains("Read-only file system"),
            "{path}: {:?}",
            ran.report
        );
    }
}

fn devices_are_the_usual_ones(sandbox: &Sandbox) {
    let expected = "fd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n";
    let listed = sandbox.sh("ls /dev").stdout();
    // A kernel without message queues has no mqueue.
    assert_eq!(listed.replace("mqueue\n", ""), expected.replace("mqueue\n", ""));
    let script = "echo x >/dev/null && cat /dev/null && dd if=/dev/zero bs=4 count=1 2>/dev/null | od -An -tx1; \
        head -c 4 /dev/urandom | wc -c; echo x 2>&1 >/dev/full; ls -l /dev/null | cut -c1-10; echo x >/dev/shm/y; \
        ls -l /dev/ptmx | sed 's/.* //' 2>/dev/null || readlink /dev/ptmx";
    let ran = sandbox.sh(script).run();
    assert!(ran.report.stdout.starts_with(" 00 00 00 00\n4\n"), "{:?}", ran.report);
    assert!(ran.report.stdout.contains("crw-rw-rw-"), "{:?}", ran.report);
}

// M8
fn a_devices_place_in_the_image_is_not_looked_at(sandbox: &Sandbox) {
    let dev = sandbox.image().join("dev");
    fs::create_dir_all(dev.join("pts")).unwrap();
    std::os::unix::fs::symlink("/proc/sys/kernel/core_pattern", dev.join("null")).unwrap();
    std::os::unix::fs::symlink("/proc/sysrq-trigger", dev.join("pts/0")).unwrap();
    sandbox.give_to_user(&dev);
    assert_eq!(
        sandbox.sh("stat -c '%F %t:%T' /dev/null; ls /dev/pts").stdout(),
        "character special file 1:3\nptmx\n"
    );
}

// M8: root of the machine may make every device, and must not get at a disk through it.
fn a_device_that_a_step_makes_cannot_be_opened(sandbox: &Sandbox) {
    let script = "mknod m c 1 3 || exit 0; cat m; cat <m; mknod /dev/m c 1 3 && cat /dev/m; mknod /dev/shm/m c 1 3; \
        cat /dev/shm/m; mknod /cache/m c 1 3; cat /cache/m; mknod /memory/m c 1 3; cat /memory/m; rm -f /dev/shm/m; exit 3";
    fs::create_dir(sandbox.path("cache")).unwrap();
    sandbox.give_to_user(&sandbox.path("cache"));
    let cache = MountSource::Bind {
        tree: Tree::Directory(sandbox.path("cache")),
        path: "/".into(),
        writable: true,
    };
    let step = sandbox.sh(script).mount("/cache", cache);
    let ran = step.mount("/memory", MountSource::Tmpfs { size: None }).run();
    match ran.report.exit {
        // In a user namespace there are no devices to make.
        Ok(0) => assert_ne!(sandbox.place.rung, Rung::Direct),
        // Whoever emulates owners keeps an empty file for a device.
        Ok(3) if sandbox.place.rung.ownership() == Ownership::Emulated => assert_eq!(ran.report.stdout, ""),
        Ok(3) => assert_eq!(
            ran.report.stderr.matches("Permission denied").count(),
            6,
            "{:?}",
            ran.report
        ),
        _ => panic!("{:?}", ran.report),
    }
}

// M9
fn control_groups_cannot_be_changed(sandbox: &Sandbox) {
    let script = "mkdir /sys/fs/cgroup/x; for d in /sys/fs/cgroup/*; do mkdir $d/x; echo x >$d/release_agent; done; \
        find /sys/fs/cgroup -name x";
    assert_eq!(sandbox.sh(script).run().report.stdout, "");
}

fn a_network_of_its_own_has_loopback_only(sandbox: &Sandbox) {
    let step = sandbox.sh("ip -o link | cut -d: -f2; ls /sys/class/net; ip -o addr show lo | grep -c 127.0.0.1");
    let step = step.with(|process| process.network = Network::None);
    assert_eq!(step.stdout(), " lo\nlo\n1\n");
}

// As in pods with `SYS_ADMIN` alone.
fn a_network_needs_no_capability_over_networks(sandbox: &Sandbox) {
    if sandbox.place.rung != Rung::Direct {
        return;
    }
    let step = sandbox.sh("ip -o addr show lo | grep -c 127.0.0.1; grep CapPrm /proc/self/status");
    let step = step.with(|process| process.network = Network::None);
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-net_admin,-mknod"]);
    command.arg(sandbox.croze()).arg(driver::ARGUMENT).current_dir("/");
    let report = report(sandbox.drive(command, step.job()));
    assert_eq!(report.exit, Ok(0), "{report:?}");
    // What croze does not have, it cannot pass on.
    assert_eq!(report.stdout, "1\nCapPrm:\t00000000a00425fb\n", "{report:?}");
}

fn the_default_network_is_croze_s(sandbox: &Sandbox) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let script = format!("nc -w 1 127.0.0.1 {port} </dev/null && echo reached || echo refused");
    let network = |network| sandbox.sh(&script).with(|process| process.network = network).stdout();
    assert_eq!(network(Network::Default), "reached\n");
    assert_eq!(network(Network::Host), "reached\n");
    assert_eq!(network(Network::None), "refused\n");
}

/// A step that runs this program, which needs the host's C library.
pub(crate) fn probing<'a>(sandbox: &'a Sandbox, arguments: &[&str]) -> Step<'a> {
    let mut args = vec!["/probe", probe::ARGUMENT];
    args.extend(arguments);
    let host = |path: &str| MountSource::Bind {
        tree: Tree::Directory(path.into()),
        path: "/".into(),
        writable: false,
    };
    let program = MountSource::Bind {
        tree: Tree::Directory(sandbox.path(".")),
        path: "/croze".into(),
        writable: false,
    };
    let mut step = sandbox.exec(&args);
    if let Tree::Directory(tree) = &step.process.rootfs {
        copy_program(&sandbox.croze(), tree);
        return step;
    }
    step = step.mount("/probe", program);
    for dir in ["/usr", "/lib", "/lib64"] {
        if fs::exists(dir).unwrap() {
            step = step.mount(dir, host(dir));
        }
    }
    step
}

/// Copies this program and its libraries into a tree, where a mount would be a copy of all that lies beside them.
fn copy_program(program: &Path, tree: &Path) {
    let listed = Command::new("ldd").arg(program).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let libraries = listed.split_whitespace().filter(|word| word.starts_with('/'));
    let copies = libraries.map(|library| (Path::new(library), Path::new(&library[1..])));
    for (from, to) in copies.chain([(program, Path::new("probe"))]) {
        let to = tree.join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}

// M13
fn abstract_sockets_of_the_host_are_closed_off(sandbox: &Sandbox) {
    let name = format!("croze-canary-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    let reach = |network| {
        probing(sandbox, &["connect-abstract", &name])
            .with(|process| process.network = network)
            .stdout()
    };
    assert_eq!(reach(Network::Default), "EPERM\n");
    let without = match sandbox.place.rung {
        Rung::Chroot | Rung::Ptrace => "EPERM\n",
        _ => "ECONNREFUSED\n",
    };
    assert_eq!(reach(Network::None), without);
    assert_eq!(reach(Network::Host), "ok\n");
    drop(listener);
}

// M13: two steps at the same time, one of which listens.
fn parallel_steps_cannot_pass_descriptors(sandbox: &Sandbox) {
    let name = format!("croze-peer-{}-{}", std::process::id(), sandbox.place.rung);
    let listening = probing(sandbox, &["listen-abstract", &name]).start();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let answer = probing(sandbox, &["connect-abstract", &name]).stdout();
    assert_eq!(answer, "EPERM\n");
    let report = report(listening);
    assert_eq!(report.stdout, "nobody came\n", "{report:?}");
}

// M14
fn croze_s_own_program_cannot_be_written(sandbox: &Sandbox) {
    // As the interpreter of a script, the link is followed while this process still is croze.
    let path = sandbox.image().join("bin/script");
    fs::write(&path, "#!/proc/self/exe\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let before = fs::read(sandbox.croze()).unwrap();
    let step = probing(sandbox, &[]).with(|process| {
        process.args = ["/bin/script", probe::ARGUMENT, "truncate-self"]
            .map(str::to_owned)
            .into();
    });
    // A read-only mount, or a copy in memory that cannot be written while it runs.
    let answer = if sandbox.place.old_kernel {
        "ETXTBSY\n"
    } else {
        "EROFS\n"
    };
    assert_eq!(step.stdout(), answer);
    // Once the program runs, croze is nowhere to be seen.
    let ran = sandbox
        .sh("echo x >/proc/1/exe; echo x >/proc/self/exe; readlink /proc/1/exe")
        .run();
    match sandbox.place.proc {
        ProcView::New => assert_eq!(ran.report.stdout, "/bin/busybox\n"),
        ProcView::Bound => assert_eq!(ran.report.stdout, ""),
    }
    assert!(
        fs::read(sandbox.croze()).unwrap() == before,
        "croze has been overwritten"
    );
}

// M19
fn the_seccomp_profile_answers_as_docker_s_does(sandbox: &Sandbox) {
    let expected = "unshare-user EPERM\nunshare-mount EPERM\nfsopen EPERM\nopen-tree EPERM\nsocket-alg EPERM\n\
        socket-vsock EPERM\nsocket-netlink ok\nsocket-unix ok\nsetns EPERM\npidfd-open ok\nsethostname EPERM\n";
    assert_eq!(probing(sandbox, &["calls"]).stdout(), expected);
    assert_eq!(
        sandbox.exec(&["grep", "Seccomp:", "/proc/self/status"]).stdout(),
        "Seccomp:\t2\n"
    );
    assert_eq!(
        sandbox.exec(&["grep", "NoNewPrivs:", "/proc/self/status"]).stdout(),
        "NoNewPrivs:\t0\n"
    );
}

fn threads_can_be_made_although_clone3_is_missing(sandbox: &Sandbox) {
    assert_eq!(probing(sandbox, &["thread"]).stdout(), "from a thread\n");
}

fn the_old_root_is_gone(sandbox: &Sandbox) {
    let stdout = sandbox
        .sh("cut -d' ' -f2 /proc/mounts | sort | head -3; ls -a / | head -2; ls -di / /..")
        .stdout();
    assert!(stdout.starts_with("/\n/dev\n"), "{stdout}");
    let mounts = sandbox.sh("cat /proc/self/mountinfo").stdout();
    let outside = sandbox.path("scratch");
    assert!(!mounts.contains(&format!(" {} ", outside.display())), "{mounts}");
}
