//! One tree seen in both ways.

use std::fs::{self, File};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use super::*;

fn emulated() -> Inodes {
    Inodes::new(Ownership::Emulated)
}

fn dir(path: &Path) -> OwnedFd {
    File::open(path).unwrap().into()
}

fn to(uid: u32, gid: u32, mode: u32) -> Attributes {
    Attributes { uid, gid, mode }
}

/// What the image has: type, owner, mode.
fn means(stat: Stat) -> (FileType, u32, u32, u32) {
    (stat.file_type, stat.uid, stat.gid, stat.mode)
}

#[test]
fn a_file_keeps_its_owner_and_mode_beside_a_mode_that_can_be_used() {
    let scratch = tempfile::tempdir().unwrap();
    let (top, inodes) = (dir(scratch.path()), emulated());
    for (mode, on_disk) in [
        (0o000, 0o600),
        (0o444, 0o644),
        (0o4755, 0o755),
        (0o611, 0o711),
        (0o1666, 0o666),
    ] {
        let path = scratch.path().join("file");
        let file = File::create(&path).unwrap();
        inodes
            .dress_new(file.as_fd(), FileType::RegularFile, false, to(5, 6, mode))
            .unwrap();
        let expected = (FileType::RegularFile, 5, 6, mode);
        assert_eq!(means(inodes.stat(file.as_fd()).unwrap()), expected);
        assert_eq!(means(inodes.stat_at(top.as_fd(), b"file").unwrap()), expected);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, on_disk, "{mode:o}");
    }
}

#[test]
fn what_the_disk_says_by_itself_needs_no_record() {
    let scratch = tempfile::tempdir().unwrap();
    let inodes = emulated();
    let directory = dir(scratch.path());
    inodes
        .dress(directory.as_fd(), FileType::Directory, to(7, 7, 0o1777))
        .unwrap();
    assert!(InodeRecord::read(&directory).unwrap().is_some());
    inodes
        .dress(directory.as_fd(), FileType::Directory, to(0, 0, 0o750))
        .unwrap();
    assert_eq!(InodeRecord::read(&directory).unwrap(), None);
    let stat = inodes.stat(directory.as_fd()).unwrap();
    assert_eq!(means(stat), (FileType::Directory, 0, 0, 0o750));
}

#[test]
fn a_directory_that_changes_its_mode_keeps_its_owner() {
    let scratch = tempfile::tempdir().unwrap();
    let inodes = emulated();
    let directory = dir(scratch.path());
    inodes
        .dress(directory.as_fd(), FileType::Directory, to(7, 8, 0o700))
        .unwrap();
    inodes.set_directory_mode(directory.as_fd(), 0o555).unwrap();
    let stat = inodes.stat(directory.as_fd()).unwrap();
    assert_eq!(means(stat), (FileType::Directory, 7, 8, 0o555));
}

#[test]
fn a_placeholder_stands_for_a_device() {
    let scratch = tempfile::tempdir().unwrap();
    let (top, inodes) = (dir(scratch.path()), emulated());
    for (file_type, rdev) in [
        (FileType::CharacterDevice, (5, 1)),
        (FileType::BlockDevice, (259, 70_000)),
    ] {
        let name = format!("{file_type:?}");
        inodes
            .make_special(top.as_fd(), name.as_bytes(), file_type, rdev)
            .unwrap();
        let again = inodes.make_special(top.as_fd(), name.as_bytes(), file_type, rdev);
        assert_eq!(again, Err(Errno::EXIST));
        inodes
            .dress_new_special(top.as_fd(), name.as_bytes(), false, to(0, 6, 0o660))
            .unwrap();
        let stat = inodes.stat_at(top.as_fd(), name.as_bytes()).unwrap();
        assert_eq!((means(stat), stat.rdev), ((file_type, 0, 6, 0o660), rdev));
        assert!(fs::metadata(scratch.path().join(&name)).unwrap().is_file());
    }
}

#[test]
fn links_and_fifos_have_owners_under_every_name() {
    let scratch = tempfile::tempdir().unwrap();
    let (top, inodes) = (dir(scratch.path()), emulated());
    symlink("nowhere", scratch.path().join("link")).unwrap();
    inodes.dress_new_link(top.as_fd(), b"link", false, (1000, 100)).unwrap();
    fs::hard_link(scratch.path().join("link"), scratch.path().join("second")).unwrap();
    for name in [&b"link"[..], b"second"] {
        let stat = inodes.stat_at(top.as_fd(), name).unwrap();
        assert_eq!(means(stat), (FileType::Symlink, 1000, 100, 0o777));
    }
    inodes
        .make_special(top.as_fd(), b"fifo", FileType::Fifo, (0, 0))
        .unwrap();
    inodes
        .dress_new_special(top.as_fd(), b"fifo", false, to(3, 4, 0o620))
        .unwrap();
    let stat = inodes.stat_at(top.as_fd(), b"fifo").unwrap();
    assert_eq!(means(stat), (FileType::Fifo, 3, 4, 0o620));
    inodes.dress_new_link(top.as_fd(), b"link", false, (0, 0)).unwrap();
    assert_eq!(inodes.stat_at(top.as_fd(), b"second").unwrap().uid, 0);
}

#[test]
fn a_record_of_another_kind_of_file_is_damaged() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = dir(scratch.path());
    let record = InodeRecord {
        uid: 0,
        gid: 0,
        mode: 0o100644,
        rdev: None,
    };
    record.write(&directory).unwrap();
    assert_eq!(emulated().stat(directory.as_fd()), Err(Errno::UCLEAN));
    // Who believes the kernel does not ask for it.
    assert!(Inodes::real().stat(directory.as_fd()).unwrap().is_dir());
}

#[test]
fn a_mere_handle_is_enough_to_look() {
    let scratch = tempfile::tempdir().unwrap();
    let file = File::create(scratch.path().join("file")).unwrap();
    emulated()
        .dress_new(file.as_fd(), FileType::RegularFile, false, to(5, 6, 0))
        .unwrap();
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = openat(CWD, scratch.path().join("file"), flags, Mode::empty()).unwrap();
    assert_eq!(emulated().stat(handle.as_fd()).unwrap().uid, 5);
}

#[test]
fn file_capabilities_are_kept_under_another_name() {
    let scratch = tempfile::tempdir().unwrap();
    let inodes = emulated();
    let file = File::create(scratch.path().join("file")).unwrap();
    let v2 = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let capability = Xattr::for_layer(b"security.capability", &v2).unwrap();
    let note = Xattr::for_layer(b"user.note", b"n").unwrap();
    let mut reader = xattr::Reader::default();
    for xattr in [&capability, &note] {
        inodes.set_xattr(file.as_fd(), xattr).unwrap();
    }
    let found = inodes.xattrs(file.as_fd(), &mut reader).unwrap();
    assert_eq!((found.xattrs, found.skipped), (vec![capability, note.clone()], 0));
    // To whoever believes the kernel it is an attribute of nobody's.
    let found = Inodes::real().xattrs(file.as_fd(), &mut reader).unwrap();
    assert_eq!((found.xattrs, found.skipped), (vec![note], 0));
}
