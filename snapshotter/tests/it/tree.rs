//! Trees as values: what a test wants, and what is on disk.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Timespec, Timestamps, XattrFlags, lgetxattr, llistxattr, setxattr};

/// Everything about one file that a layer keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds and nanoseconds.
    pub(crate) mtime: (i64, i64),
    pub(crate) xattrs: BTreeMap<OsString, Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File(Vec<u8>),
    /// A further name of the inode that the given path, which sorts before, names.
    HardLink(PathBuf),
    Dir,
    Symlink(OsString),
    Fifo,
    /// A device, as `(block, rdev)`.
    Device(bool, u64),
    Socket,
}

pub(crate) type Tree = BTreeMap<PathBuf, Node>;

/// Reads everything below a directory; the directory itself has the empty path.
pub(crate) fn read(top: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut first = BTreeMap::new();
    visit(top, Path::new(""), &mut tree, &mut first);
    tree
}

/// As [`read`], with times in whole seconds and without those of the top: as much as a layer keeps.
pub(crate) fn read_as_layer(top: &Path) -> Tree {
    let mut tree = read(top);
    tree.remove(Path::new(""));
    for node in tree.values_mut() {
        node.mtime.1 = 0;
    }
    tree
}

fn visit(top: &Path, path: &Path, tree: &mut Tree, first: &mut BTreeMap<(u64, u64), PathBuf>) {
    let full = if path.as_os_str().is_empty() {
        top.to_owned()
    } else {
        top.join(path)
    };
    let metadata = fs::symlink_metadata(&full).unwrap();
    let file_type = metadata.file_type();
    let known = (!file_type.is_dir() && metadata.nlink() > 1)
        .then(|| first.insert((metadata.dev(), metadata.ino()), path.to_owned()))
        .flatten();
    let kind = if let Some(known) = known {
        first.insert((metadata.dev(), metadata.ino()), known.clone());
        Kind::HardLink(known)
    } else if file_type.is_dir() {
        Kind::Dir
    } else if file_type.is_symlink() {
        Kind::Symlink(fs::read_link(&full).unwrap().into_os_string())
    } else if file_type.is_fifo() {
        Kind::Fifo
    } else if file_type.is_socket() {
        Kind::Socket
    } else if file_type.is_file() {
        Kind::File(fs::read(&full).unwrap())
    } else {
        Kind::Device(file_type.is_block_device(), metadata.rdev())
    };
    let node = Node {
        kind,
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        mtime: (metadata.mtime(), metadata.mtime_nsec()),
        xattrs: xattrs(&full),
    };
    let is_dir = node.kind == Kind::Dir;
    tree.insert(path.to_owned(), node);
    if is_dir {
        let mut names: Vec<_> = fs::read_dir(&full)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        for name in names {
            visit(top, &path.join(name), tree, first);
        }
    }
}

/// Returns the extended attributes of a file, overlay's own and labels left out.
fn xattrs(path: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let mut names = [0; 4096];
    let length = llistxattr(path, &mut names).unwrap_or(0);
    let names = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let wanted = names.filter(|name| {
        name.starts_with(b"security.capability") || name.starts_with(b"user.") && !name.starts_with(b"user.overlay.")
    });
    wanted
        .map(|name| {
            let mut value = [0; 4096];
            let length = lgetxattr(path, name, &mut value).unwrap();
            (OsStr::from_bytes(name).to_owned(), value[..length].to_vec())
        })
        .collect()
}

/// Makes a tree on disk, in an existing directory.
pub(crate) fn write(top: &Path, tree: &Tree) {
    for (path, node) in tree {
        let full = top.join(path);
        match &node.kind {
            Kind::File(content) => fs::write(&full, content).unwrap(),
            Kind::HardLink(first) => {
                fs::hard_link(top.join(first), &full).unwrap();
                continue;
            }
            Kind::Dir => fs::create_dir(&full).unwrap(),
            Kind::Symlink(target) => std::os::unix::fs::symlink(target, &full).unwrap(),
            Kind::Fifo => mknod(&full, rustix::fs::FileType::Fifo, 0),
            Kind::Device(true, device) => mknod(&full, rustix::fs::FileType::BlockDevice, *device),
            Kind::Device(false, device) => mknod(&full, rustix::fs::FileType::CharacterDevice, *device),
            Kind::Socket => drop(std::os::unix::net::UnixListener::bind(&full).unwrap()),
        }
        std::os::unix::fs::lchown(&full, Some(node.uid), Some(node.gid)).unwrap();
        if !matches!(node.kind, Kind::Symlink(_)) {
            fs::set_permissions(&full, fs::Permissions::from_mode(node.mode)).unwrap();
        }
        for (name, value) in &node.xattrs {
            setxattr(&full, name, value, XattrFlags::empty()).unwrap();
        }
    }
    // Times last and from the inside out: everything above disturbs those of the directories.
    for (path, node) in tree.iter().rev() {
        if !matches!(node.kind, Kind::HardLink(_)) {
            set_mtime(&top.join(path), node.mtime);
        }
    }
}

fn mknod(path: &Path, file_type: rustix::fs::FileType, device: u64) {
    rustix::fs::mknodat(rustix::fs::CWD, path, file_type, rustix::fs::Mode::RUSR, device).unwrap();
}

pub(crate) fn set_mtime(path: &Path, (seconds, nanos): (i64, i64)) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanos,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
}
