//! What one file keeps: bytes, holes, times, attributes, kind.

use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixListener;
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lgetxattr, lsetxattr, mknodat};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use super::*;

#[test]
fn times_are_kept_to_the_nanosecond() {
    let world = World::new(&["tree/dir/file", "tree/dir/link -> file"]);
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 123_456_789);
    for path in ["tree/dir/file", "tree/dir"] {
        fs::File::open(world.context(path)).unwrap().set_modified(time).unwrap();
    }
    let link = fs::symlink_metadata(world.context("tree/dir/link"))
        .unwrap()
        .modified()
        .unwrap();
    world.copy(&op(&["tree"], "/")).unwrap();
    for path in ["dir/file", "dir"] {
        assert_eq!(
            fs::metadata(world.out(path)).unwrap().modified().unwrap(),
            time,
            "{path}"
        );
    }
    assert_eq!(
        fs::symlink_metadata(world.out("dir/link")).unwrap().modified().unwrap(),
        link
    );
}

// BK-044.
#[test]
fn a_socket_becomes_an_empty_file_and_a_fifo_stays_one() {
    let world = World::new(&["tree/"]);
    let _listener = UnixListener::bind(world.context("tree/socket.sock")).unwrap();
    mknodat(CWD, world.context("tree/fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    set_mode(&world.context("tree/fifo"), 0o640);
    world.copy(&op(&["tree"], "/")).unwrap();
    let socket = fs::metadata(world.out("socket.sock")).unwrap();
    assert!(socket.is_file() && socket.len() == 0);
    assert!(std::os::unix::fs::FileTypeExt::is_fifo(
        &fs::metadata(world.out("fifo")).unwrap().file_type()
    ));
    assert_eq!(mode(&world.out("fifo")), 0o640);
}

#[test]
fn set_id_bits_survive_a_change_of_owner() {
    let world = World::new(&["setuid"]);
    set_mode(&world.context("setuid"), 0o6755);
    world
        .copy_as(&op(&["setuid"], "/"), Some(Owner { uid: 12, gid: 13 }), false)
        .unwrap();
    assert_eq!(
        (mode(&world.out("setuid")), owner(&world.out("setuid"))),
        (0o6755, (12, 13))
    );
}

#[test]
fn a_set_group_id_directory_does_not_give_its_group() {
    let world = World::new(&["foo", "link -> foo", "tree/sub/x", "tree/l -> x"]).existing(&["shared/"]);
    chown(&world.out("shared"), 0, 55);
    set_mode(&world.out("shared"), 0o2775);
    world.copy(&op(&["foo"], "/shared/")).unwrap();
    world.copy(&op(&["tree"], "/shared/")).unwrap();
    for path in ["shared/foo", "shared/sub", "shared/sub/x", "shared/l"] {
        assert_eq!(owner(&world.out(path)), (0, 0), "{path}");
    }
    assert_eq!(mode(&world.out("shared/sub")), 0o700, "nor its bit");
}

#[test]
fn holes_stay_holes() {
    const MIB: u64 = 1 << 20;
    for (data_at, size) in [(8 * MIB, 16 * MIB), (0, 16 * MIB), (16 * MIB - 4, 16 * MIB)] {
        let world = World::new(&[]);
        let file = fs::File::create(world.context("sparse")).unwrap();
        file.set_len(size).unwrap();
        file.write_all_at(b"data", data_at).unwrap();
        world.copy(&op(&["sparse"], "/")).unwrap();
        let arrived = fs::metadata(world.out("sparse")).unwrap();
        assert_eq!(arrived.len(), size);
        assert!(arrived.blocks() * 512 < MIB, "{} blocks", arrived.blocks());
        assert!(fs::read(world.out("sparse")).unwrap() == fs::read(world.context("sparse")).unwrap());
    }
    let world = World::new(&[]);
    fs::File::create(world.context("all-hole"))
        .unwrap()
        .set_len(MIB + 1)
        .unwrap();
    world.copy(&op(&["all-hole"], "/")).unwrap();
    assert_eq!(fs::metadata(world.out("all-hole")).unwrap().len(), MIB + 1);
}

#[test]
fn files_around_the_size_of_the_buffer_arrive_whole() {
    let buffer = crate::context::BUFFER;
    for size in [0, 1, buffer - 1, buffer, buffer + 1, 3 * buffer + 17] {
        let world = World::new(&[]);
        let content: Vec<u8> = (0..size).map(|at| (at % 251) as u8 + 1).collect();
        fs::write(world.context("file"), &content).unwrap();
        let copied = world.copy(&op(&["file"], "/")).unwrap();
        assert!(fs::read(world.out("file")).unwrap() == content, "{size}");
        assert_eq!((copied.files, copied.bytes), (1, size as u64));
    }
}

// U8: what steers overlay is not copied.
#[test]
fn user_attributes_and_capabilities_are_kept_and_overlays_own_are_not() {
    let capability = [0x01, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let world = World::new(&["tree/dir/file"]);
    let set = |path: &str, name: &str, value: &[u8]| {
        lsetxattr(world.context(path), name, value, XattrFlags::empty()).unwrap();
    };
    set("tree/dir/file", "user.note", b"hello\0\xff");
    set("tree/dir/file", "security.capability", &capability);
    set("tree/dir", "user.note", b"of a directory");
    set("tree/dir", "user.overlay.opaque", b"y");
    set("tree/dir", "trusted.note", b"y");
    let user = Some(Owner { uid: 5, gid: 5 });
    let copied = world.copy_as(&op(&["tree"], "/"), user, false).unwrap();
    let get = |path: &str, name: &str| {
        let mut value = [0; 64];
        lgetxattr(world.out(path), name, &mut value).map(|length| value[..length].to_vec())
    };
    assert_eq!(get("dir/file", "user.note").unwrap(), b"hello\0\xff");
    assert_eq!(
        get("dir/file", "security.capability").unwrap(),
        capability,
        "set after the owner"
    );
    assert_eq!(get("dir", "user.note").unwrap(), b"of a directory");
    assert_eq!(get("dir", "user.overlay.opaque"), Err(Errno::NODATA));
    assert_eq!(get("dir", "trusted.note"), Err(Errno::NODATA));
    assert_eq!(copied.xattrs_skipped, 0);
}

#[test]
fn names_that_are_not_utf_8_are_copied() {
    use std::os::unix::ffi::OsStrExt as _;
    let world = World::new(&["tree/"]);
    let name = std::ffi::OsStr::from_bytes(b"\xff\xfe\n");
    fs::write(world.context("tree").join(name), "odd").unwrap();
    world.copy(&op(&["tree"], "/")).unwrap();
    assert_eq!(fs::read_to_string(world.out("").join(name)).unwrap(), "odd");
}

/// Runs one test of this binary again as the root of a user namespace in which only root exists.
fn run_again_in_a_namespace_of_one_id(test: &str) {
    let output = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env("CROZE_TEST_INSIDE", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn an_owner_that_the_user_namespace_does_not_have_is_named() {
    if std::env::var_os("CROZE_TEST_INSIDE").is_none() {
        let test = "copy::tests::files::an_owner_that_the_user_namespace_does_not_have_is_named";
        return run_again_in_a_namespace_of_one_id(test);
    }
    let user = Some(Owner { uid: 7, gid: 8 });
    let world = World::new(&["foo", "tree/dir/", "link/l -> foo"]);
    for (source, destination, named) in [
        ("foo", "/", "/foo"),
        ("foo", "/new/", "/new"),
        ("tree/.", "/", "/dir"),
        ("link", "/", "/l"),
    ] {
        let error = world
            .copy_as(&op(&[source], destination), user, false)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            format!("{named} cannot be owned by 7:8: the ids are not mapped here"),
            "{source}"
        );
    }
}

#[test]
fn a_cancelled_copy_ends_before_the_next_file() {
    let world = World::new(&["tree/one", "tree/two"]);
    let (tree, into) = (world.tree(), Root::open(&world.out("")).unwrap());
    let (op, cancel) = (op(&["tree"], "/"), CancellationToken::new());
    cancel.cancel();
    let query = Query::Source {
        path: "tree",
        parents: false,
        exclude: &[],
    };
    let selection = select(&tree, query, None).unwrap();
    let mut copier = Copier::new(&op, None, &into).until(cancel);
    let error = copier.add_selection(&tree, &selection, Arrival::default()).unwrap_err();
    assert_eq!(error.to_string(), "cannot copy `/tree/one`");
    assert!(!world.out("two").exists());
}
