//! What is mounted over a step's root file system.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use builder::executor::{Content, MountSource, Tree};
use snapshotter::{Overlay, Upper};

use super::Test;
use crate::harness::{Sandbox, Step};
use crate::rootfs::overlay;
use crate::tests;

pub(crate) const TESTS: &[Test] = tests![
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
];

pub(crate) fn tmpfs() -> MountSource {
    MountSource::Tmpfs { size: None }
}

pub(crate) fn file(content: &str) -> MountSource {
    MountSource::File {
        content: Content(content.into()),
        mode: 0o400,
        uid: 0,
        gid: 0,
    }
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
    let step = sandbox
        .exec(&["/busybox", "ls", "/"])
        .mount("/busybox", busybox(sandbox));
    let ran = step.with(|process| overlay(process).lower.clear()).run();
    assert_eq!(ran.report.stdout, "busybox\ndev\netc\nproc\nsys\n");
    assert_eq!(ran.layer(), [""; 0]);
}

fn tree(sandbox: &Sandbox) -> PathBuf {
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

fn tree_again(sandbox: &Sandbox) -> PathBuf {
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
    let script = "cat /run/secrets/s; stat -c ' %a %u:%g' /run/secrets/s; \
        grep ' /run/secrets/s ' /proc/mounts | cut -d' ' -f3; chmod 777 /run/secrets/s";
    let ran = sandbox.sh(script).mount("/run/secrets/s", secret).run();
    assert_eq!(ran.report.stdout, "hunter2 440 1000:7\ntmpfs\n");
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
    let step: Step<'_> = sandbox.sh("stat -c %F /agent").mount(
        "/agent",
        MountSource::Host {
            path,
            restrictions: Vec::new(),
        },
    );
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
