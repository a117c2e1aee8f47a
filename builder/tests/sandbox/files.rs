//! What a step sees of files, and what it leaves in its layer.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use builder::executor::{Content, MountSource, Tree};
use snapshotter::{Overlay, Upper};

use super::Test;
use crate::harness::{Sandbox, Step};
use crate::tests;

pub(crate) const TESTS: &[Test] = tests![
    a_step_that_does_nothing_leaves_nothing,
    what_a_step_writes_is_the_layer,
    mount_points_leave_no_trace,
    a_mount_point_in_a_directory_of_the_image_leaves_its_times_alone,
    a_directory_looks_the_same_with_a_mount_point_in_it,
    a_removed_path_can_be_a_mount_point_again,
    hosts_and_resolver_are_given,
    an_empty_image_can_run_a_mounted_program,
    a_read_only_bind_cannot_be_written,
    a_writable_bind_of_an_overlay_is_thrown_away,
    a_cache_is_written_through,
    a_part_of_a_tree_is_mounted_within_that_tree,
    a_missing_source_is_told,
    a_secret_is_a_file_in_memory_with_its_owner,
    a_script_can_be_run_from_dev_pipes,
    a_tmpfs_has_the_size_asked_for,
    mounts_may_lie_in_each_other,
    a_socket_of_the_host_is_reachable,
    a_directory_on_a_file_is_refused,
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

fn tmpfs() -> MountSource {
    MountSource::Tmpfs { size: None }
}

fn file(content: &str) -> MountSource {
    MountSource::File {
        content: Content(content.into()),
        mode: 0o400,
        uid: 0,
        gid: 0,
    }
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
    let step = step.with(|process| process.rootfs.lower.insert(0, first.upper.clone()));
    assert_eq!(step.stdout(), "3751 33:44 1000000000\nin\nnew\n");
}

fn a_removed_path_can_be_a_mount_point_again(sandbox: &Sandbox) {
    let made = sandbox.sh("mkdir -p /src/a; echo old >/src/a/file").run();
    let removed = sandbox
        .sh("rm -rf /src")
        .with(|process| process.rootfs.lower.insert(0, made.upper.clone()))
        .run();
    assert_eq!(removed.layer(), ["/src"]);
    let step = sandbox.sh("ls /src /src/a").mount("/src/a", tmpfs()).with(|process| {
        process
            .rootfs
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

/// The host's busybox as a program of its own.
fn busybox(sandbox: &Sandbox) -> MountSource {
    MountSource::Bind {
        tree: Tree::Directory(sandbox.image()),
        path: "/bin/busybox".into(),
        writable: false,
    }
}

fn an_empty_image_can_run_a_mounted_program(sandbox: &Sandbox) {
    let step = sandbox.exec(&["/tool", "ls", "/"]).mount("/tool", busybox(sandbox));
    let ran = step.with(|process| process.rootfs.lower.clear()).run();
    assert_eq!(ran.report.stdout, "dev\netc\nproc\nsys\ntool\n");
    assert_eq!(ran.layer(), [""; 0]);
}

fn tree(sandbox: &Sandbox) -> std::path::PathBuf {
    let tree = sandbox.path("tree");
    fs::create_dir_all(tree.join("sub/dir")).unwrap();
    fs::write(tree.join("sub/file"), "content\n").unwrap();
    symlink("/", tree.join("top")).unwrap();
    symlink("../../../../../../etc", tree.join("sub/up")).unwrap();
    sandbox.give_to_user(&tree);
    tree
}

fn bind(tree: Tree, path: &str, writable: bool) -> MountSource {
    MountSource::Bind {
        tree,
        path: path.into(),
        writable,
    }
}

fn a_read_only_bind_cannot_be_written(sandbox: &Sandbox) {
    let tree = Tree::Directory(tree(sandbox));
    // M18: nor made writable.
    let step = sandbox
        .sh("cat /c/sub/file; mount -o remount,rw,bind /c; echo x >/c/new")
        .mount("/c", bind(tree, "/", false));
    let ran = step.run();
    assert_eq!(ran.report.stdout, "content\n");
    assert_eq!(ran.report.exit, Ok(1));
    assert!(ran.report.stderr.contains("Read-only file system"), "{:?}", ran.report);
    assert!(!sandbox.path("tree/new").exists());
}

// M17
fn a_writable_bind_of_an_overlay_is_thrown_away(sandbox: &Sandbox) {
    let lower = tree(sandbox);
    let upper = Upper {
        dir: sandbox.path("scratch-upper"),
        work: sandbox.path("scratch-work"),
    };
    for dir in [&upper.dir, &upper.work] {
        fs::create_dir(dir).unwrap();
        sandbox.give_to_user(dir);
    }
    let overlay = Overlay {
        lower: vec![lower.clone()],
        upper: Some(upper),
    };
    let step = sandbox
        .sh("echo x >/c/new; rm /c/file; ls /c")
        .mount("/c", bind(Tree::Overlay(overlay), "/sub", true));
    assert_eq!(step.stdout(), "dir\nnew\nup\n");
    assert_eq!(fs::read_to_string(lower.join("sub/file")).unwrap(), "content\n");
    assert!(!lower.join("sub/new").exists());
}

fn a_cache_is_written_through(sandbox: &Sandbox) {
    let cache = sandbox.path("cache");
    fs::create_dir(&cache).unwrap();
    sandbox.give_to_user(&cache);
    let step = || {
        sandbox
            .sh("cat /c/x; echo y >>/c/x")
            .mount("/c", bind(Tree::Directory(cache.clone()), "/", true))
    };
    let ran = step().run();
    assert_eq!((ran.report.stdout.as_str(), ran.layer().len()), ("", 0));
    assert_eq!(step().stdout(), "y\n");
}

// M3
fn a_part_of_a_tree_is_mounted_within_that_tree(sandbox: &Sandbox) {
    let tree = tree(sandbox);
    for (path, shown) in [
        ("/top", "sub\ntop\n"),
        ("/../../sub", "dir\nfile\nup\n"),
        ("/top/sub/dir", ""),
    ] {
        let step = sandbox
            .sh("ls /c")
            .mount("/c", bind(Tree::Directory(tree.clone()), path, false));
        assert_eq!(step.stdout(), shown, "{path}");
    }
}

fn a_missing_source_is_told(sandbox: &Sandbox) {
    for path in ["/sub/up", "/nope", "/sub/file/x"] {
        let step = sandbox
            .sh("ls /c")
            .mount("/c", bind(Tree::Directory(tree_again(sandbox)), path, false));
        assert_eq!(
            step.run().error(),
            format!("`{path}` does not exist in the source of the mount")
        );
    }
}

fn tree_again(sandbox: &Sandbox) -> std::path::PathBuf {
    let path = sandbox.path("tree");
    if path.exists() { path } else { tree(sandbox) }
}

fn a_secret_is_a_file_in_memory_with_its_owner(sandbox: &Sandbox) {
    let secret = MountSource::File {
        content: Content(b"hunter2".to_vec()),
        mode: 0o440,
        uid: 1000,
        gid: 7,
    };
    let script = "cat /run/secrets/s; stat -c ' %a %u:%g' /run/secrets/s; grep -c 'tmpfs.* /run/secrets/s ' /proc/mounts; \
        grep ' /run/secrets/s ' /proc/mounts | cut -d' ' -f3; chmod 777 /run/secrets/s";
    let ran = sandbox.sh(script).mount("/run/secrets/s", secret).run();
    assert_eq!(ran.report.stdout, "hunter2 440 1000:7\n1\ntmpfs\n");
    assert!(ran.report.stderr.contains("Read-only file system"), "{:?}", ran.report);
    assert_eq!(ran.layer(), [""; 0]);
}

fn a_script_can_be_run_from_dev_pipes(sandbox: &Sandbox) {
    let script = MountSource::File {
        content: Content(b"#!/bin/sh\necho \"$0 $1\"\n".to_vec()),
        mode: 0o755,
        uid: 0,
        gid: 0,
    };
    let step = sandbox.exec(&["/dev/pipes/EOF", "arg"]).mount("/dev/pipes/EOF", script);
    assert_eq!(step.stdout(), "/dev/pipes/EOF arg\n");
}

fn a_tmpfs_has_the_size_asked_for(sandbox: &Sandbox) {
    let step = sandbox
        .sh("grep ' /t ' /proc/mounts")
        .mount("/t", MountSource::Tmpfs { size: Some(1 << 20) });
    let stdout = step.stdout();
    assert!(
        stdout.contains("size=1024k") && stdout.contains("nosuid,nodev"),
        "{stdout}"
    );
}

fn mounts_may_lie_in_each_other(sandbox: &Sandbox) {
    let tree = Tree::Directory(tree(sandbox));
    let step = sandbox
        .sh("cat /t/in/file; cat /t/secret; ls /t")
        .mount("/t", tmpfs())
        .mount("/t/in", bind(tree, "/sub", false))
        .mount("/t/secret", file("s\n"));
    let ran = step.run();
    assert_eq!(ran.report.stdout, "content\ns\nin\nsecret\n");
    assert_eq!(ran.layer(), [""; 0]);
}

fn a_socket_of_the_host_is_reachable(sandbox: &Sandbox) {
    let path = sandbox.path("agent");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    sandbox.give_to_user(&path);
    let step: Step<'_> = sandbox
        .sh("stat -c %F /agent")
        .mount("/agent", MountSource::Socket { path });
    assert_eq!(step.stdout(), "socket\n");
    drop(listener);
}

fn a_directory_on_a_file_is_refused(sandbox: &Sandbox) {
    let error = sandbox.sh("true").mount("/etc/passwd", tmpfs()).run().error();
    assert_eq!(error, "cannot mount a directory on `/etc/passwd`, which is not one");
    let error = sandbox.sh("true").mount("/etc", file("x")).run().error();
    assert_eq!(error, "cannot mount a file on `/etc`, which is not one");
    let error = sandbox.sh("true").mount("/etc/passwd/x", tmpfs()).run().error();
    assert_eq!(
        error,
        "cannot find the mount point `/etc/passwd/x`: Not a directory (os error 20)"
    );
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
struct Sentry(std::path::PathBuf);

impl Sentry {
    fn new(sandbox: &Sandbox) -> Self {
        let dir = sandbox.path("outside");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("victim"), "untouched").unwrap();
        sandbox.give_to_user(&dir);
        Self(dir)
    }

    #[track_caller]
    fn check(&self) {
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
                .is_err_and(|error| error.starts_with("cannot "));
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
        process.rootfs.lower.splice(0..0, layers);
    });
    assert_eq!(step.stdout(), "100\n");
}
