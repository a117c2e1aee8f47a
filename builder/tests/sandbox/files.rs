//! What a step sees of its root file system, and what it leaves in its layer.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use super::Test;
use super::mounts::{file, tmpfs};
use crate::harness::Sandbox;
use crate::rootfs::overlay;
use crate::tests;

pub(crate) const TESTS: &[Test] = tests![
    a_step_that_does_nothing_leaves_nothing,
    what_a_step_writes_is_the_layer,
    mount_points_leave_no_trace,
    a_mount_point_in_a_directory_of_the_image_leaves_its_times_alone,
    a_directory_looks_the_same_with_a_mount_point_in_it,
    a_removed_path_can_be_a_mount_point_again,
    hosts_and_resolver_are_given,
    the_working_directory_is_entered_within_the_root,
    a_working_directory_in_proc_is_refused,
    links_of_the_image_do_not_lead_out_of_it,
    strange_files_where_croze_mounts_are_contained_or_refused,
    shared_memory_has_the_size_asked_for,
    a_hundred_layers_are_stacked,
];

fn a_step_that_does_nothing_leaves_nothing(sandbox: &Sandbox) {
    let ran = sandbox.exec(&["/bin/true"]).run();
    assert_eq!(ran.report.exit, Ok(0), "{:?}", ran.report);
    assert_eq!(ran.layer(), [""; 0]);
}

fn what_a_step_writes_is_the_layer(sandbox: &Sandbox) {
    let ran = sandbox
        .sh("echo x >/new; rm /etc/group; mkdir -p /a/b; chown 1000:7 /a/b")
        .run();
    assert_eq!(ran.report.exit, Ok(0), "{:?}", ran.report);
    assert_eq!(ran.layer(), ["/a", "/a/b", "/etc", "/etc/group", "/new"]);
}

fn mount_points_leave_no_trace(sandbox: &Sandbox) {
    let step = |script| {
        sandbox
            .sh(script)
            .mount("/root/.cache/deep/er", tmpfs())
            .mount("/run/secrets/token", file("s"))
            .mount("/new", tmpfs())
    };
    let ran = step("cat /run/secrets/token; echo x >/root/.cache/deep/er/y").run();
    assert_eq!(ran.report.exit, Ok(0), "{:?}", ran.report);
    assert_eq!(ran.layer(), [""; 0]);
    // What the step itself writes beside them stays.
    let ran = step("echo x >/root/.cache/mine").run();
    assert_eq!(ran.report.exit, Ok(0), "{:?}", ran.report);
    assert_eq!(ran.layer(), ["/root", "/root/.cache", "/root/.cache/mine"]);
    // A mount point cannot be removed, and trying leaves nothing.
    let ran = step("rm -rf /new /run; rmdir /root/.cache/deep/er").run();
    assert_ne!(ran.report.exit, Ok(0), "{:?}", ran.report);
    assert_eq!(ran.layer(), [""; 0]);
}

fn a_mount_point_in_a_directory_of_the_image_leaves_its_times_alone(sandbox: &Sandbox) {
    let before = fs::metadata(sandbox.image().join("etc")).unwrap();
    let ran = sandbox.sh("stat -c '%Y %a %u:%g' /etc; echo x >>/etc/passwd").run();
    assert_eq!(
        ran.report.stdout,
        format!("{} {:o} 0:0\n", before.mtime(), before.mode() & 0o7777)
    );
    assert_eq!(ran.layer(), ["/etc", "/etc/passwd"]);
    // Changing a file does not change its directory, and a copy of it in the layer must not look as if.
    let after = fs::metadata(ran.upper.join("etc")).unwrap();
    assert_eq!((after.mtime(), after.mode()), (before.mtime(), before.mode()));
}

fn a_directory_looks_the_same_with_a_mount_point_in_it(sandbox: &Sandbox) {
    // By an owner, mode and time of its own, and within a stage of several layers.
    let first = sandbox
        .sh("mkdir -p /data/in; chmod 3751 /data; chown 33:44 /data; touch -d @1000000000 /data")
        .run();
    assert_eq!(first.report.exit, Ok(0), "{:?}", first.report);
    let step = sandbox
        .sh("stat -c '%a %u:%g %Y' /data; ls /data")
        .mount("/data/new", tmpfs());
    let step = step.with(|process| overlay(process).lower.insert(0, first.upper.clone()));
    assert_eq!(step.stdout(), "3751 33:44 1000000000\nin\nnew\n");
}

fn a_removed_path_can_be_a_mount_point_again(sandbox: &Sandbox) {
    let made = sandbox.sh("mkdir -p /src/a; echo old >/src/a/file").run();
    let removed = sandbox
        .sh("rm -rf /src")
        .with(|process| overlay(process).lower.insert(0, made.upper.clone()))
        .run();
    assert_eq!(removed.layer(), ["/src"]);
    let step = sandbox.sh("ls /src /src/a").mount("/src/a", tmpfs()).with(|process| {
        overlay(process)
            .lower
            .splice(0..0, [removed.upper.clone(), made.upper.clone()]);
    });
    assert_eq!(step.stdout(), "/src:\na\n\n/src/a:\n");
}

fn hosts_and_resolver_are_given(sandbox: &Sandbox) {
    let step = sandbox.sh("cat /etc/resolv.conf /etc/hosts; hostname; echo x >>/etc/hosts");
    let ran = step
        .with(|process| process.extra_hosts = vec![("192.0.2.7".into(), "seven".into())])
        .run();
    let expected = "nameserver 192.0.2.1\n127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost ip6-localhost \
        ip6-loopback\n192.0.2.7\tseven\nbuildkitsandbox\n";
    assert_eq!(ran.report.stdout, expected);
    assert!(ran.report.stderr.contains("Read-only file system"), "{:?}", ran.report);
    assert_eq!(ran.layer(), [""; 0]);
}

fn the_working_directory_is_entered_within_the_root(sandbox: &Sandbox) {
    symlink("../../../../../../tmp", sandbox.image().join("root/link")).unwrap();
    let step = sandbox
        .exec(&["pwd", "-P"])
        .with(|process| process.cwd = "/root/link".into());
    assert_eq!(step.stdout(), "/tmp\n");
    let error = sandbox
        .exec(&["pwd"])
        .with(|process| process.cwd = "/nope".into())
        .run()
        .error();
    assert_eq!(
        error,
        "cannot enter the working directory `/nope`: No such file or directory (os error 2)"
    );
}

// M1
fn a_working_directory_in_proc_is_refused(sandbox: &Sandbox) {
    symlink("/proc/1", sandbox.image().join("sneaky")).unwrap();
    let paths = ["/proc", "/proc/1/", "/sneaky/task", "/proc/self"].map(str::to_owned);
    for path in paths
        .into_iter()
        .chain((3..20).map(|number| format!("/proc/self/fd/{number}")))
    {
        let error = sandbox
            .sh("pwd")
            .with(|process| process.cwd = path.clone().into())
            .run()
            .error();
        let in_proc = format!("the working directory `{path}` lies in `/proc`");
        let not_entered = format!("cannot enter the working directory `{path}`");
        assert!(error == in_proc || error.starts_with(&not_entered), "{error}");
    }
}

/// A directory of the host that no step may change, and what it looked like.
pub(crate) struct Sentry(std::path::PathBuf);

impl Sentry {
    pub(crate) fn new(sandbox: &Sandbox) -> Self {
        let dir = sandbox.path("outside");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("victim"), "untouched").unwrap();
        sandbox.give_to_user(&dir);
        Self(dir)
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    #[track_caller]
    pub(crate) fn check(&self) {
        assert_eq!(fs::read_to_string(self.0.join("victim")).unwrap(), "untouched");
        assert_eq!(fs::read_dir(&self.0).unwrap().count(), 1);
    }
}

// M7
fn links_of_the_image_do_not_lead_out_of_it(sandbox: &Sandbox) {
    let sentry = Sentry::new(sandbox);
    let outside = sentry.0.to_str().unwrap();
    let up = format!("../../../../../../../..{outside}");
    for target in [outside, &up, "/nowhere", "..", "self"] {
        for place in ["proc", "dev", "sys", "run", "etc/resolv.conf", "etc/hosts", "mnt"] {
            let link = sandbox.image().join(place);
            symlink(target, &link).unwrap();
            let step = sandbox
                .sh("true")
                .mount("/mnt/secret", file("x"))
                .mount("/run/t", tmpfs());
            let ran = step.run();
            sentry.check();
            // Either it worked within the image, or it was refused; in both cases nothing is left.
            let refused = ran
                .report
                .exit
                .as_ref()
                .is_err_and(|error| error.starts_with("cannot ") || error.starts_with("the mount point "));
            assert!(
                refused || ran.report.exit == Ok(0),
                "{place} → {target}: {:?}",
                ran.report
            );
            assert_eq!(ran.layer(), [""; 0], "{place} → {target}");
            fs::remove_file(link).unwrap();
        }
    }
}

// M7
fn strange_files_where_croze_mounts_are_contained_or_refused(sandbox: &Sandbox) {
    let make_fifo = |path: &Path| {
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    };
    for (place, works) in [
        ("proc", false),
        ("dev", false),
        ("sys", false),
        ("etc/resolv.conf", true),
    ] {
        let path = sandbox.image().join(place);
        for fifo in [true, false] {
            if fifo {
                make_fifo(&path)
            } else {
                fs::write(&path, "file").unwrap()
            }
            sandbox.give_to_user(&path);
            let ran = sandbox.sh("cat /etc/resolv.conf").run();
            assert_eq!(ran.report.exit.is_ok(), works, "{place}: {:?}", ran.report);
            if !works {
                let expected = format!("cannot mount a directory on `/{place}`, which is not one");
                assert_eq!(ran.report.exit, Err(expected));
            }
            fs::remove_file(&path).unwrap();
        }
    }
}

fn shared_memory_has_the_size_asked_for(sandbox: &Sandbox) {
    let step = sandbox
        .sh("grep ' /dev/shm ' /proc/mounts")
        .with(|process| process.shm_size = 128 << 20);
    let stdout = step.stdout();
    assert!(stdout.contains("size=131072k"), "{stdout}");
}

fn a_hundred_layers_are_stacked(sandbox: &Sandbox) {
    let layer = |number: usize| {
        let dir = sandbox.path(&format!("layer{number}"));
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join(format!("file{number}")), "").unwrap();
        sandbox.give_to_user(&dir);
        dir
    };
    let layers: Vec<_> = (0..100).map(layer).collect();
    let step = sandbox.sh("ls / | grep -c file").with(|process| {
        overlay(process).lower.splice(0..0, layers);
    });
    assert_eq!(step.stdout(), "100\n");
}
