//! The attribute's format, value by value, and its way through a file.

use std::fs;
use std::os::fd::AsFd as _;

use rustix::fs::{FileType, XattrFlags, fsetxattr};
use rustix::io::Errno;

use super::{InodeRecord, InvalidInodeRecord};

fn record(uid: u32, gid: u32, mode: u32, rdev: Option<(u32, u32)>) -> InodeRecord {
    InodeRecord { uid, gid, mode, rdev }
}

#[test]
fn every_record_has_one_spelling_and_is_read_back_from_it() {
    for (text, expected) in [
        ("0:0:100644", record(0, 0, 0o100644, None)),
        ("1000:100:104755", record(1000, 100, 0o104755, None)),
        ("4294967295:65534:41777", record(u32::MAX, 65534, 0o041777, None)),
        ("7:8:100000", record(7, 8, 0o100000, None)),
        ("0:5:20620:5:1", record(0, 5, 0o020620, Some((5, 1)))),
        ("0:6:60660:259:1048575", record(0, 6, 0o060660, Some((259, 0xf_ffff)))),
        ("0:0:120777", record(0, 0, 0o120777, None)),
    ] {
        assert_eq!(InodeRecord::parse(text.as_bytes()), Ok(expected), "{text}");
        assert_eq!(expected.encode(), text);
    }
}

#[test]
fn what_is_not_a_record_is_refused() {
    for text in [
        "",
        "0",
        "0:0",
        "0:0:",
        "0:0:100644:",
        "0:0:100644:1",
        "0:0:20666:1:3:0",
        // Other spellings of the same numbers.
        "+1:0:100644",
        "01:0:100644",
        "0:0:0100644",
        " 0:0:100644",
        "0:0:100644\n",
        // Numbers that are none, or too large.
        "-1:0:100644",
        "0:4294967296:100644",
        "0:0:100688",
        "root:0:100644",
        // A device without its number, and a number without a device.
        "0:0:20666",
        "0:0:60666",
        "0:0:100644:1:3",
        "0:0:644:1:3",
    ] {
        assert_eq!(InodeRecord::parse(text.as_bytes()), Err(InvalidInodeRecord), "{text:?}");
    }
    assert_eq!(InodeRecord::parse(b"0:0:100644\xff"), Err(InvalidInodeRecord));
}

#[test]
fn the_mode_says_type_and_permissions() {
    let device = record(0, 0, 0o064660, Some((8, 1)));
    assert_eq!(device.file_type(), FileType::BlockDevice);
    assert_eq!(device.permissions(), 0o4660);
}

#[test]
fn a_record_stays_with_the_inode() {
    let scratch = tempfile::tempdir().unwrap();
    let file = fs::File::create(scratch.path().join("a")).unwrap();
    assert_eq!(InodeRecord::read(&file).unwrap(), None);
    let first = record(1, 2, 0o100600, None);
    first.write(&file).unwrap();
    let second = record(0, 0, 0o020666, Some((1, 3)));
    second.write(&file).unwrap();
    fs::rename(scratch.path().join("a"), scratch.path().join("b")).unwrap();
    fs::hard_link(scratch.path().join("b"), scratch.path().join("c")).unwrap();
    let other_name = fs::File::open(scratch.path().join("c")).unwrap();
    assert_eq!(InodeRecord::read(&other_name).unwrap(), Some(second));
}

#[test]
fn a_damaged_record_is_an_error_and_not_absent() {
    let scratch = tempfile::tempdir().unwrap();
    let file = fs::File::create(scratch.path().join("a")).unwrap();
    for value in ["", "0:0", &"0".repeat(200)] {
        fsetxattr(file.as_fd(), InodeRecord::XATTR, value.as_bytes(), XattrFlags::empty()).unwrap();
        assert_eq!(InodeRecord::read(&file), Err(Errno::UCLEAN), "{value:?}");
    }
}
