//! The owners of a snapshot's symbolic links, FIFOs and sockets, where the kernel does not hold them.
//!
//! A file beside the snapshot, `owners`, one entry after the other in the order of the paths:
//!
//! ```text
//! uid:gid:path NUL
//! ```
//!
//! Ids are decimal, paths start at the snapshot's top and have no leading slash. Only files that are not root's are
//! listed; a snapshot without any has no such file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, openat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::{FsError, OnPath as _};
use crate::inodes::{Specials, stat_at};
use crate::root::Root;
use crate::walk::{self, Next, Place, Visitor};

/// The name of the file beside a snapshot.
const FILE: &str = "owners";

/// User and group of links, FIFOs and sockets by path; who is not listed is root's. As data it is the file's bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<u8>", try_from = "Vec<u8>")]
pub struct SpecialOwners(BTreeMap<PathBuf, (u32, u32)>);

/// Bytes that no such file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the owners of special files are damaged")]
pub struct InvalidSpecialOwners;

impl From<SpecialOwners> for Vec<u8> {
    fn from(owners: SpecialOwners) -> Self {
        owners.encode()
    }
}

impl TryFrom<Vec<u8>> for SpecialOwners {
    type Error = InvalidSpecialOwners;

    fn try_from(bytes: Vec<u8>) -> Result<Self, InvalidSpecialOwners> {
        Self::decode(&bytes).ok_or(InvalidSpecialOwners)
    }
}

impl SpecialOwners {
    /// Notes the user and group of a file; the path starts at the top of the tree.
    pub fn set(&mut self, path: PathBuf, owner: (u32, u32)) {
        if owner == (0, 0) {
            self.0.remove(&path);
        } else {
            self.0.insert(path, owner);
        }
    }

    /// Returns whether root owns all of them.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the files that are not root's, in the order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, (u32, u32))> {
        self.0.iter().map(|(path, owner)| (path.as_path(), *owner))
    }

    /// Lays the owners of a snapshot, whose files are in `files`, over those of the snapshots below it.
    pub(crate) fn stack(&mut self, above: Self, files: &Root) -> Result<(), FsError> {
        for (path, owner) in std::mem::take(&mut self.0) {
            // What is there is another file, even if it is root's and not listed for that reason.
            if files.stat(&path, false)?.is_none() {
                self.0.insert(path, owner);
            }
        }
        self.0.extend(above.0);
        Ok(())
    }

    /// Notes the owners by inode, for a tree that is about to be used. A path that is hidden in it is passed over.
    pub(crate) fn install(&self, tree: &Root, specials: &Specials) -> Result<(), FsError> {
        self.0.keys().try_for_each(|path| self.install_at(path, tree, specials))
    }

    /// Notes the owner of one file by inode; one that is not listed becomes root's.
    pub(crate) fn install_at(&self, path: &Path, tree: &Root, specials: &Specials) -> Result<(), FsError> {
        match tree.stat(path, false)? {
            Some(stat) if is_special(stat.file_type) => {
                specials.set(stat.inode(), self.0.get(path).copied().unwrap_or_default());
            }
            _ => {}
        }
        Ok(())
    }

    /// Finds the paths of all special files below `files`, and asks `specials` for their owners. The inodes known to
    /// it are those of `seen`, which shows the same files, perhaps through a mount.
    pub(crate) fn find(files: &Root, seen: &Root, specials: &Specials) -> Result<Self, FsError> {
        if specials.is_empty() {
            return Ok(Self::default());
        }
        Self::collect(files, |place, _| {
            let (parent, name) = seen.parent(place.path)?;
            let stat = stat_at(parent.as_fd(), name.as_os_str()).on("stat", place.path)?;
            Ok(specials.owner(stat.inode()))
        })
    }

    /// Finds all special files below `files`, and asks for the owner of each, of which the place and the type are told.
    pub fn collect(
        files: &Root,
        owner: impl FnMut(&Place<'_>, FileType) -> Result<(u32, u32), FsError>,
    ) -> Result<Self, FsError> {
        let mut finder = Finder {
            owner,
            found: Self::default(),
        };
        walk::walk(files.open_dir(Path::new(""))?, &mut finder)?;
        Ok(finder.found)
    }

    /// Reads the file beside a snapshot; `directory` is the open directory that both are in.
    pub(crate) fn read(directory: BorrowedFd<'_>, path: &Path) -> Result<Self, FsError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = match openat(directory, FILE, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(Self::default()),
            file => File::from(file.on("open", path.join(FILE))?),
        };
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut file, &mut bytes).on("read", path.join(FILE))?;
        let damaged = || FsError::new("read", path.join(FILE), io::Error::from(io::ErrorKind::InvalidData));
        Self::decode(&bytes).ok_or_else(damaged)
    }

    /// Writes the file beside a snapshot, unless there is nothing to say.
    pub(crate) fn write(&self, directory: BorrowedFd<'_>, path: &Path) -> Result<(), FsError> {
        if self.is_empty() {
            return Ok(());
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(directory, FILE, flags, Mode::RUSR | Mode::WUSR).on("create", path.join(FILE))?;
        io::Write::write_all(&mut File::from(file), &self.encode()).on("write", path.join(FILE))
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (path, (uid, gid)) in self.iter() {
            bytes.extend_from_slice(format!("{uid}:{gid}:").as_bytes());
            bytes.extend_from_slice(path.as_os_str().as_bytes());
            bytes.push(0);
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut owners = Self::default();
        for entry in bytes.split_inclusive(|&byte| byte == 0) {
            let mut fields = entry.strip_suffix(b"\0")?.splitn(3, |&byte| byte == b':');
            let mut id = || str::from_utf8(fields.next()?).ok()?.parse().ok();
            let owner = (id()?, id()?);
            let path = OsString::from_vec(fields.next()?.to_vec());
            owners.set(path.into(), owner);
        }
        Some(owners)
    }
}

/// Returns whether files of a type can carry no extended attribute of a user's.
pub fn is_special(file_type: FileType) -> bool {
    matches!(file_type, FileType::Symlink | FileType::Fifo | FileType::Socket)
}

/// Looks for special files that are not root's.
struct Finder<F> {
    owner: F,
    found: SpecialOwners,
}

impl<F: FnMut(&Place<'_>, FileType) -> Result<(u32, u32), FsError>> Visitor for Finder<F> {
    type Error = FsError;

    fn visit(&mut self, place: &Place<'_>) -> Result<Next, FsError> {
        let file_type = match place.file_type {
            FileType::Unknown => stat_at(place.dir, place.name).on("stat", place.path)?.file_type,
            known => known,
        };
        if file_type == FileType::Directory {
            return Ok(Next::Enter(walk::open_dir(place)?));
        }
        if is_special(file_type) {
            let owner = (self.owner)(place, file_type)?;
            self.found.set(place.path.to_owned(), owner);
        }
        Ok(Next::Pass)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn owners(entries: &[(&str, u32)]) -> SpecialOwners {
        let mut owners = SpecialOwners::default();
        for (path, id) in entries {
            owners.set(path.into(), (*id, *id + 1));
        }
        owners
    }

    #[test]
    fn the_file_keeps_every_name() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::open(scratch.path()).unwrap();
        let mut wanted = owners(&[("a:b/c\nd", 5), ("ä", u32::MAX - 1)]);
        wanted.set(OsString::from_vec(vec![0xff, b'/', 1]).into(), (0, 7));
        wanted.write(root.as_fd(), Path::new("x")).unwrap();
        assert_eq!(SpecialOwners::read(root.as_fd(), Path::new("x")).unwrap(), wanted);
    }

    #[test]
    fn nothing_to_say_leaves_no_file() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::open(scratch.path()).unwrap();
        owners(&[]).write(root.as_fd(), Path::new("x")).unwrap();
        assert!(!scratch.path().join(FILE).exists());
        assert!(SpecialOwners::read(root.as_fd(), Path::new("x")).unwrap().is_empty());
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::open(scratch.path()).unwrap();
        for damaged in ["1:2:a", "1:2", "1:2\0", "x:2:a\0", "1::a\0", "1:2:a\0\0"] {
            std::fs::write(scratch.path().join(FILE), damaged).unwrap();
            let error = SpecialOwners::read(root.as_fd(), Path::new("snapshot")).unwrap_err();
            assert_eq!(error.to_string(), "cannot read `snapshot/owners`", "{damaged:?}");
        }
    }

    #[test]
    fn an_upper_snapshot_hides_the_owners_of_what_it_replaces() {
        let scratch = tempfile::tempdir().unwrap();
        let files = Root::open(scratch.path()).unwrap();
        symlink("x", scratch.path().join("replaced")).unwrap();
        symlink("x", scratch.path().join("given")).unwrap();
        std::fs::write(scratch.path().join("file"), "").unwrap();
        let mut below = owners(&[
            ("replaced", 1),
            ("given", 2),
            ("file", 3),
            ("kept", 4),
            ("file/below", 5),
        ]);
        below.stack(owners(&[("given", 8), ("new", 9)]), &files).unwrap();
        // A path below what is no directory any more is never asked for.
        let expected = owners(&[("given", 8), ("new", 9), ("kept", 4), ("file/below", 5)]);
        assert_eq!(below, expected);
    }
}
