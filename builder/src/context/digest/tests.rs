//! The table of the module, flipped input by input (reliability C2, C3).

use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, XattrFlags, makedev, mknodat, setxattr};
use snapshotter::{Overlay, Root, Upper};

use super::*;
use crate::context::{Query, Tree, select};

/// Everything about a selected tree that can be changed. A new kind must be given a line in [`expected`].
#[derive(Clone, Copy, Debug)]
enum Input {
    Bytes,
    Name,
    FileMode,
    DirectoryMode,
    Owner,
    Mtime,
    DirectoryMtime,
    Xattr,
    OtherXattr,
    DirectoryXattr,
    LinkTarget,
    LinkedFile,
    HardLink,
    OutsideHardLink,
    Kind,
    Device,
    NewFile,
    EmptyDirectory,
    TopMode,
    TopOwner,
    Inode,
    Unselected,
}

/// Which uses notice a change.
#[derive(PartialEq, Eq, Debug)]
struct Noticed {
    copy: bool,
    copy_with_octal_chmod: bool,
    copy_with_symbolic_chmod: bool,
    copy_keeping_owner: bool,
    mount: bool,
}

const ALL: Noticed = Noticed {
    copy: true,
    copy_with_octal_chmod: true,
    copy_with_symbolic_chmod: true,
    copy_keeping_owner: true,
    mount: true,
};
const NONE: Noticed = Noticed {
    copy: false,
    copy_with_octal_chmod: false,
    copy_with_symbolic_chmod: false,
    copy_keeping_owner: false,
    mount: false,
};

/// The table.
fn expected(input: Input) -> Noticed {
    match input {
        Input::Bytes
        | Input::Name
        | Input::Xattr
        | Input::DirectoryXattr
        | Input::LinkTarget
        | Input::HardLink
        | Input::Kind
        | Input::Device
        | Input::NewFile
        | Input::EmptyDirectory => ALL,
        // `u=rwX,go=rX` leaves no trace of what the mode of a directory, or of a file that nobody executes, was.
        Input::FileMode | Input::DirectoryMode => Noticed {
            copy_with_octal_chmod: false,
            copy_with_symbolic_chmod: false,
            ..ALL
        },
        Input::Owner => Noticed {
            copy_keeping_owner: true,
            mount: true,
            ..NONE
        },
        Input::TopMode | Input::TopOwner => Noticed { mount: true, ..NONE },
        Input::Mtime
        | Input::DirectoryMtime
        | Input::OtherXattr
        | Input::LinkedFile
        | Input::OutsideHardLink
        | Input::Inode
        | Input::Unselected => NONE,
    }
}

const INPUTS: [Input; 22] = [
    Input::Bytes,
    Input::Name,
    Input::FileMode,
    Input::DirectoryMode,
    Input::Owner,
    Input::Mtime,
    Input::DirectoryMtime,
    Input::Xattr,
    Input::OtherXattr,
    Input::DirectoryXattr,
    Input::LinkTarget,
    Input::LinkedFile,
    Input::HardLink,
    Input::OutsideHardLink,
    Input::Kind,
    Input::Device,
    Input::NewFile,
    Input::EmptyDirectory,
    Input::TopMode,
    Input::TopOwner,
    Input::Inode,
    Input::Unselected,
];

/// Makes the tree `src`, and something beside it that is not selected.
fn populate(top: &Path) {
    let src = top.join("src");
    fs::create_dir_all(src.join("dir")).unwrap();
    fs::write(src.join("dir/file"), "bytes").unwrap();
    fs::write(src.join("plain"), "plain").unwrap();
    fs::write(src.join("twin"), "plain").unwrap();
    symlink("../outside", src.join("link")).unwrap();
    mknodat(
        CWD,
        src.join("device"),
        FileType::CharacterDevice,
        Mode::RUSR,
        makedev(1, 3),
    )
    .unwrap();
    fs::write(top.join("outside"), "outside").unwrap();
    for path in ["src", "src/dir", "src/dir/file", "src/plain", "src/twin", "src/device"] {
        let mode = if top.join(path).is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(top.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn change(top: &Path, input: Input) {
    let src = top.join("src");
    let file = src.join("dir/file");
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let later = SystemTime::now() + Duration::from_secs(1000);
    let xattr = |path: &Path, name: &str| setxattr(path, name, b"x", XattrFlags::empty()).unwrap();
    match input {
        Input::Bytes => fs::write(file, "BYTES").unwrap(),
        Input::Name => fs::rename(&file, src.join("dir/renamed")).unwrap(),
        Input::FileMode => mode(&file, 0o600),
        Input::DirectoryMode => mode(&src.join("dir"), 0o700),
        Input::Owner => std::os::unix::fs::chown(file, Some(7), Some(8)).unwrap(),
        Input::Mtime => fs::File::options()
            .write(true)
            .open(file)
            .unwrap()
            .set_modified(later)
            .unwrap(),
        Input::DirectoryMtime => fs::File::open(src.join("dir")).unwrap().set_modified(later).unwrap(),
        Input::Xattr => xattr(&file, "user.note"),
        Input::OtherXattr => xattr(&file, "trusted.note"),
        Input::DirectoryXattr => xattr(&src.join("dir"), "user.note"),
        Input::LinkTarget => {
            fs::remove_file(src.join("link")).unwrap();
            symlink("../elsewhere", src.join("link")).unwrap();
        }
        Input::LinkedFile => fs::write(top.join("outside"), "other").unwrap(),
        Input::HardLink => {
            fs::remove_file(src.join("twin")).unwrap();
            fs::hard_link(src.join("plain"), src.join("twin")).unwrap();
        }
        Input::OutsideHardLink => fs::hard_link(src.join("plain"), top.join("third")).unwrap(),
        Input::Kind => {
            fs::remove_file(&file).unwrap();
            fs::create_dir(&file).unwrap();
            mode(&file, 0o644);
        }
        Input::Device => {
            fs::remove_file(src.join("device")).unwrap();
            mknodat(
                CWD,
                src.join("device"),
                FileType::CharacterDevice,
                Mode::RUSR,
                makedev(1, 5),
            )
            .unwrap();
            mode(&src.join("device"), 0o644);
        }
        Input::NewFile => fs::write(src.join("new"), "").unwrap(),
        Input::EmptyDirectory => fs::create_dir(src.join("new")).unwrap(),
        Input::TopMode => mode(&src, 0o700),
        Input::TopOwner => std::os::unix::fs::chown(src, Some(7), Some(8)).unwrap(),
        Input::Inode => {
            fs::copy(&file, top.join("copy")).unwrap();
            fs::rename(top.join("copy"), file).unwrap();
        }
        Input::Unselected => fs::write(top.join("unselected"), "").unwrap(),
    }
}

/// Returns the digests of `src` in the order of the fields of [`Noticed`].
fn digests(top: &Path) -> [Digest; 5] {
    let tree = Tree::root_fs(Root::open(top).unwrap());
    let selection = select(&tree, Query::Exact("src"), None).unwrap();
    let (octal, symbolic) = (Chmod::Octal(0o755), "u=rwX,go=rX".parse().unwrap());
    [
        Use::Copy {
            chmod: None,
            keep_owner: false,
        },
        Use::Copy {
            chmod: Some(&octal),
            keep_owner: false,
        },
        Use::Copy {
            chmod: Some(&symbolic),
            keep_owner: false,
        },
        Use::Copy {
            chmod: None,
            keep_owner: true,
        },
        Use::Mount { keep_owner: true },
    ]
    .map(|used| selection.digest(used))
}

// C3; the cases are exhaustive because `expected` is.
#[test]
fn the_digest_changes_exactly_when_the_table_says() {
    for input in INPUTS {
        let dir = tempfile::tempdir().unwrap();
        populate(dir.path());
        let before = digests(dir.path());
        change(dir.path(), input);
        let after = digests(dir.path());
        let [
            copy,
            copy_with_octal_chmod,
            copy_with_symbolic_chmod,
            copy_keeping_owner,
            mount,
        ] = std::array::from_fn(|index| before[index] != after[index]);
        let noticed = Noticed {
            copy,
            copy_with_octal_chmod,
            copy_with_symbolic_chmod,
            copy_keeping_owner,
            mount,
        };
        assert_eq!(noticed, expected(input), "{input:?}");
    }
}

#[test]
fn two_trees_made_alike_have_one_digest() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    populate(one.path());
    populate(two.path());
    assert_eq!(digests(one.path()), digests(two.path()));
}

#[test]
fn a_mounted_stage_has_the_digest_of_its_files() {
    let (lower, upper, plain) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    populate(lower.path());
    fs::write(lower.path().join("src/deleted"), "").unwrap();
    let (dir, work) = (upper.path().join("upper"), upper.path().join("work"));
    fs::create_dir(&dir).unwrap();
    fs::create_dir(&work).unwrap();
    let overlay = Overlay {
        lower: vec![lower.path().to_owned()],
        upper: Some(Upper { dir, work }),
    };
    let mounted = overlay.mount().unwrap();
    let seen = Path::new("/proc/self/fd").join(mounted.as_raw_fd().to_string());
    fs::remove_file(seen.join("src/deleted")).unwrap();
    fs::write(seen.join("src/dir/file"), "BYTES").unwrap();
    populate(plain.path());
    change(plain.path(), Input::Bytes);
    assert_eq!(digests(&seen), digests(plain.path()));
}

// BK-039, BK-201: the names that a wildcard finds matter, those of directories do not.
#[test]
fn a_file_that_is_found_under_another_name_is_another_selection() {
    let dir = tempfile::tempdir().unwrap();
    let digest = || {
        let tree = Tree::root_fs(Root::open(dir.path()).unwrap());
        let query = Query::Source {
            path: "f*",
            parents: false,
            exclude: &[],
        };
        select(&tree, query, None).unwrap().digest(Use::Copy {
            chmod: None,
            keep_owner: false,
        })
    };
    fs::write(dir.path().join("file1"), "same").unwrap();
    let before = digest();
    fs::rename(dir.path().join("file1"), dir.path().join("file2")).unwrap();
    assert_ne!(digest(), before);
    fs::rename(dir.path().join("file2"), dir.path().join("file1")).unwrap();
    assert_eq!(digest(), before);
    fs::remove_file(dir.path().join("file1")).unwrap();
    fs::create_dir(dir.path().join("fdir")).unwrap();
    let directory = digest();
    fs::rename(dir.path().join("fdir"), dir.path().join("fother")).unwrap();
    assert_eq!(digest(), directory);
}

/// A small tree as a value: sorted paths with content, `None` for a directory.
type Sketch = std::collections::BTreeMap<String, Option<String>>;

fn sketch() -> impl Strategy<Value = Sketch> {
    let path = proptest::collection::vec("[ab]{1,2}", 1..3).prop_map(|names| names.join("/"));
    proptest::collection::btree_map(path, proptest::option::of("[xy]{0,2}"), 0..5).prop_map(|mut sketch| {
        // A file cannot hold another.
        let files: Vec<String> = sketch
            .iter()
            .filter(|(_, content)| content.is_some())
            .map(|(path, _)| path.clone())
            .collect();
        sketch.retain(|path, _| !files.iter().any(|file| path.starts_with(&format!("{file}/"))));
        let parents: Vec<String> = sketch
            .keys()
            .filter_map(|path| Some(path.rsplit_once('/')?.0.to_owned()))
            .collect();
        for parent in parents {
            sketch.insert(parent, None);
        }
        sketch
    })
}

fn digest_of(sketch: &Sketch) -> Digest {
    let dir = tempfile::tempdir().unwrap();
    for (path, content) in sketch {
        let place = dir.path().join(path);
        match content {
            None => fs::create_dir(place).unwrap(),
            Some(content) => fs::write(place, content).unwrap(),
        }
    }
    let tree = Tree::root_fs(Root::open(dir.path()).unwrap());
    select(&tree, Query::Exact("."), None).unwrap().digest(Use::Copy {
        chmod: None,
        keep_owner: false,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    // C2: `a/b` and `c` is not `a` and `b/c`, nor `ab` with `c` what `a` with `bc` is.
    #[test]
    fn different_trees_have_different_digests(one in sketch(), two in sketch()) {
        prop_assert_eq!(one == two, digest_of(&one) == digest_of(&two));
    }
}
