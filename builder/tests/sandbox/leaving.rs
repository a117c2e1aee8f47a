//! A step that leaves its root directory the old way: it changes its root further down, and climbs from where it still is.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;

use builder::rung::Rung;
use rustix::fs::{AtFlags, RenameFlags, Timestamps, renameat_with};
use rustix::fs::{CWD, FileType, Mode, OFlags, XattrFlags, linkat, mknodat, openat, setxattr, utimensat};
use rustix::process::{chdir, chroot, fchdir};

use super::Test;
use crate::harness::Sandbox;
use crate::isolation::probing;
use crate::probe::told;
use crate::tests;

pub(crate) const TESTS: &[Test] = tests![a_step_that_leaves_its_root_changes_and_reads_nothing_outside];

/// Climbs higher than the directories of a test are; a path to a socket has 107 bytes at most.
const CLIMB: usize = 8;

/// Leaves the root in one way, and tries what can be done with the files of a directory outside; prints what succeeds.
pub(crate) fn leave(way: &str, outside: &str) {
    match way {
        "root" => {
            fs::create_dir("/tmp/inner").unwrap();
            println!("chroot {}", told(chroot("/tmp/inner").map_err(io::Error::from)));
        }
        "window" => fchdir(File::open("/proc").unwrap()).unwrap(),
        _ => panic!("no such way"),
    }
    attempt(outside);
    for _ in 0..CLIMB {
        // It may be refused at any height.
        let _refused = chdir("..");
    }
    attempt(outside);
}

/// Tries what can be done with the files of a directory, by paths that lead upwards or do not; prints what succeeds.
fn attempt(outside: &str) {
    for up in ["", &"../".repeat(CLIMB)] {
        let place = format!("{up}{}", outside.trim_start_matches('/'));
        let at = |name: &str| format!("{place}/{name}");
        let make = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let none = Mode::empty();
        let mode = Mode::from_raw_mode;
        for (name, result) in [
            ("look", fs::metadata(at("victim")).map(drop)),
            ("read", fs::read(at("victim")).map(drop)),
            ("write", File::options().append(true).open(at("victim")).map(drop)),
            (
                "mode",
                fs::set_permissions(at("victim"), fs::Permissions::from_mode(0o4777)),
            ),
            ("owner", std::os::unix::fs::lchown(at("victim"), Some(5), Some(6))),
            (
                "times",
                io_of(utimensat(CWD, at("victim"), &LONG_AGO, AtFlags::empty())),
            ),
            (
                "attribute",
                io_of(setxattr(at("victim"), "user.mark", b"x", XattrFlags::empty())),
            ),
            ("file", io_of(openat(CWD, at("file"), make, mode(0o644)).map(drop))),
            // What is not root's, or closed to its owner, the supervisor makes.
            ("closed file", io_of(openat(CWD, at("closed"), make, none).map(drop))),
            ("directory", fs::create_dir(at("directory"))),
            ("closed directory", io_of(rustix::fs::mkdir(at("shut"), none))),
            (
                "device",
                io_of(mknodat(CWD, at("device"), FileType::CharacterDevice, mode(0o600), 259)),
            ),
            ("fifo", io_of(mknodat(CWD, at("fifo"), FileType::Fifo, none, 0))),
            ("link", symlink("x", at("link"))),
            (
                "name",
                io_of(linkat(CWD, at("victim"), CWD, at("name"), AtFlags::empty())),
            ),
            (
                "rename",
                io_of(renameat_with(CWD, at("victim"), CWD, at("moved"), RenameFlags::empty())),
            ),
            ("remove", fs::remove_file(at("victim"))),
            ("list", fs::read_dir(&place).map(drop)),
            ("bind", UnixListener::bind(at("bound")).map(drop)),
            ("connect", UnixStream::connect(at("socket")).map(drop)),
            (
                "send",
                UnixDatagram::unbound().and_then(|socket| socket.send_to(b"x", at("inbox")).map(drop)),
            ),
        ] {
            if result.is_ok() {
                println!("{name}");
            }
        }
    }
}

const LONG_AGO: Timestamps = {
    let time = rustix::fs::Timespec { tv_sec: 1, tv_nsec: 0 };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
};

fn io_of(result: rustix::io::Result<()>) -> io::Result<()> {
    result.map_err(io::Error::from)
}

/// What can be told of all in a directory.
fn look(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let mut all: Vec<String> = entries
        .map(|entry| {
            let found = entry.metadata().unwrap();
            let whose = (
                found.uid(),
                found.gid(),
                found.mode(),
                found.mtime(),
                found.ctime_nsec(),
            );
            format!("{:?} {whose:?}", entry.file_name())
        })
        .collect();
    all.sort();
    all
}

fn a_step_that_leaves_its_root_changes_and_reads_nothing_outside(sandbox: &Sandbox) {
    let outside = sandbox.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("victim"), "untouched").unwrap();
    let _socket = UnixListener::bind(outside.join("socket")).unwrap();
    let _inbox = UnixDatagram::bind(outside.join("inbox")).unwrap();
    // So that nothing but the sandbox refuses.
    for name in ["", "victim", "socket", "inbox"] {
        fs::set_permissions(outside.join(name), fs::Permissions::from_mode(0o777)).unwrap();
    }
    let before = look(&outside);
    for way in ["root", "window"] {
        let ran = probing(sandbox, &["leave", way, outside.to_str().unwrap()]).run();
        assert_eq!(ran.report.exit, Ok(0), "{way}: {:?}", ran.report);
        let mut done: Vec<&str> = ran.report.stdout.lines().collect();
        done.sort_unstable();
        done.dedup();
        let changed = if sandbox.place.rung == Rung::Ptrace {
            "chroot EPERM"
        } else {
            "chroot ok"
        };
        let mut expected = if way == "root" { vec![changed] } else { vec![] };
        // Landlock knows nothing of sockets: `container-sockets`.
        if sandbox.place.rung == Rung::Chroot {
            expected.extend(["connect", "send"]);
        }
        assert_eq!(done, expected, "{way}: {:?}", ran.report);
        assert_eq!(look(&outside), before, "{way}");
    }
}
