//! The slots of a container whose `/` is not croze's to change.
//!
//! Container runtimes make `/` root's, whatever the image says of it: another user can neither move nor make anything
//! there. But what lies there can be that user's own. croze's `-restricted` image is laid out for this: it has the
//! top-level directories that images have, each of which *stands in* for the tree's directory of that name, and links
//! to a directory in which anything can lie that other images have under these names:
//!
//! ```text
//! /usr /etc /var …       the user's own and all but empty: their entries are exchanged
//! /bin → .croze/top/bin  a directory in one image, a link in the other, and in a third one nothing
//! /.croze/top/           what these links lead to; links of its own lead from there to `/usr` and the others, so that
//!                        a tree's `bin → usr/bin` leads from there where it would lead from `/`
//! ```

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fstat, openat, readlinkat, statat};
use rustix::process::geteuid;

use super::HOME;
use super::error::{OnPath as _, SwapError};
use super::exchange::{DIRECTORY, names};
use super::looks::Looks;
use super::root::{COVERING, is_mount_point, mount_points, top};
use super::slot::{Slot, StandIn};

/// What images have in `/`.
pub const COMMON: [&str; 18] = [
    "bin", "boot", "etc", "home", "lib", "lib32", "lib64", "libx32", "media", "mnt", "opt", "root", "run", "sbin",
    "srv", "tmp", "usr", "var",
];

/// What the names in a container's `/` can stand for.
#[derive(Debug)]
pub struct Layout {
    place: PathBuf,
    /// Directories of this user's own.
    directories: BTreeSet<OsString>,
    /// Links to where anything can lie.
    links: BTreeSet<OsString>,
}

impl Layout {
    /// Reads that of this container. The top-level directories of the paths `in_use` stand for nothing.
    pub fn read(in_use: &[&Path]) -> Result<Self, SwapError> {
        Self::of(Path::new("/"), in_use)
    }

    fn of(place: &Path, in_use: &[&Path]) -> Result<Self, SwapError> {
        let root = openat(CWD, place, DIRECTORY, Mode::empty()).on("open", place)?;
        let mut layout = Self {
            place: place.to_owned(),
            directories: BTreeSet::new(),
            links: BTreeSet::new(),
        };
        for name in names(&root, place)? {
            let is_covering = COVERING.iter().any(|covering| *covering == name);
            let is_in_use = in_use.iter().any(|path| top(path).as_ref() == Some(&name));
            let is_free = !is_covering && !is_in_use && Path::new("/").join(&name) != Path::new(HOME);
            match kind(&root, &name) {
                Some(Kind::Directory) if is_free => layout.directories.insert(name),
                Some(Kind::Link) => layout.links.insert(name),
                _ => false,
            };
        }
        Ok(layout)
    }

    /// Returns the first of the names that every image may have for which there is no place.
    pub fn lacks(&self) -> Option<PathBuf> {
        let has = |name: &&str| {
            let name = OsStr::new(name);
            self.directories.contains(name) || self.links.contains(name)
        };
        COMMON.iter().find(|name| !has(name)).map(|name| self.place.join(name))
    }

    /// Returns the names that are links.
    pub fn links(&self) -> impl Iterator<Item = &OsStr> {
        self.links.iter().map(OsString::as_os_str)
    }

    /// Returns the directory in which lies what the links lead to.
    pub fn top(&self) -> PathBuf {
        self.place.join(TOP)
    }

    /// Returns the slots in which a tree takes the place of what lies in `/`.
    pub fn slots(&self, tree: &Path) -> Result<Vec<Slot>, SwapError> {
        let theirs = openat(CWD, tree, DIRECTORY, Mode::empty()).on("open", tree)?;
        for name in names(&theirs, tree)? {
            let has_place = COVERING.iter().any(|covering| *covering == name)
                || self.links.contains(&name)
                || self.directories.contains(&name) && is_directory(&theirs, &name);
            if !has_place {
                let path = self.place.join(name);
                return Err(SwapError::NoPlace { path });
            }
        }
        let mut slots = vec![Slot {
            only: Some(self.links.clone()),
            ..Slot::of_all_but(self.top(), tree.to_owned(), BTreeSet::new())
        }];
        for name in &self.directories {
            let place = self.place.join(name);
            let dir = openat(CWD, &place, DIRECTORY, Mode::empty()).on("open", &place)?;
            let stands_in = StandIn {
                own: Looks::of(dir.as_fd()).on("stat", &place)?,
                is_extra: !is_directory(&theirs, name),
            };
            let kept = mount_points(&dir, &place)?;
            slots.push(Slot {
                stands_in: Some(stands_in),
                ..Slot::of_all_but(place, tree.join(name), kept)
            });
        }
        Ok(slots)
    }
}

/// Where links in `/` lead to, from there.
pub const TOP: &str = ".croze/top";

/// What a name in `/` can stand for.
enum Kind {
    Directory,
    Link,
}

fn kind(root: &OwnedFd, name: &OsStr) -> Option<Kind> {
    if is_mount_point(root, name).unwrap_or(true) {
        return None;
    }
    let stat = statat(root, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory if stat.st_uid == geteuid().as_raw() => Some(Kind::Directory),
        FileType::Symlink => {
            let target = readlinkat(root, name, Vec::new()).ok()?;
            let expected = Path::new(TOP).join(name);
            (target.as_bytes() == expected.as_os_str().as_encoded_bytes()).then_some(Kind::Link)
        }
        _ => None,
    }
}

fn is_directory(dir: &OwnedFd, name: &OsStr) -> bool {
    let opened = openat(
        dir,
        name,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    );
    opened
        .and_then(fstat)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

#[cfg(test)]
mod tests;
