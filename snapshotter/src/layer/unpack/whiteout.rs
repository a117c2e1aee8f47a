//! Deletions in a layer, from `.wh.` names to what the tree has for them.

use std::ffi::OsStr;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{FileType, Mode, openat};
use rustix::io::Errno;

use super::dirs::Missing;
use super::error::UnpackCause;
use super::path::join;
use super::writer::{Writer, is_missing};
use super::{UnpackMode, display_path};
use crate::error::{FsError, OnPath as _};
use crate::inodes::stat_at;
use crate::layer::archive::{Entry, Kind};
use crate::layer::{OPAQUE_WHITEOUT, WHITEOUT_PREFIX};
use crate::remove::remove_at;
use crate::root::DIR_FLAGS;
use crate::walk::{self, Next, Place, Visitor};
use crate::{whiteout, xattr};

/// What AUFS kept about itself; old layers hold it by accident.
const AUFS_PREFIX: &[u8] = b".wh..wh.";

/// What a whiteout hides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hidden<'n> {
    /// One name of its directory.
    Name(&'n [u8]),
    /// All that lower layers have in its directory.
    Everything,
    /// Nothing: the entry is passed over.
    Nothing,
}

/// Returns what an entry hides if its name makes it a whiteout.
pub(super) fn hidden_by<'n>(directory: &[u8], name: &'n [u8]) -> Result<Option<Hidden<'n>>, UnpackCause> {
    for component in directory.split(|&byte| byte == b'/') {
        if component.starts_with(AUFS_PREFIX) {
            return Ok(Some(Hidden::Nothing));
        }
        if component.starts_with(WHITEOUT_PREFIX) {
            return Err(UnpackCause::Whiteout);
        }
    }
    match name.strip_prefix(WHITEOUT_PREFIX) {
        None => Ok(None),
        Some(_) if name == OPAQUE_WHITEOUT => Ok(Some(Hidden::Everything)),
        Some(_) if name.starts_with(AUFS_PREFIX) => Ok(Some(Hidden::Nothing)),
        Some(b"" | b"." | b"..") => Err(UnpackCause::Whiteout),
        Some(hidden) => Ok(Some(Hidden::Name(hidden))),
    }
}

impl Writer {
    /// Applies a whiteout that lies in `directory`.
    pub(super) fn whiteout(&mut self, directory: &[u8], hidden: Hidden<'_>, entry: &Entry) -> Result<(), UnpackCause> {
        if hidden == Hidden::Nothing {
            return Ok(());
        }
        // AUFS made all whiteouts hard links of one file.
        if !matches!(entry.kind, Kind::File | Kind::HardLink) {
            return Err(UnpackCause::Whiteout);
        }
        if self.mode == UnpackMode::Merged {
            return Ok(self.delete_lower(directory, hidden)?);
        }
        match hidden {
            Hidden::Nothing => {}
            // Overlay does not look at the top directories themselves.
            Hidden::Everything if directory.is_empty() => self.result.needs_merged = true,
            Hidden::Everything => {
                let parent = self.open_parent(directory, entry.mtime)?;
                xattr::set_opaque(parent.fd).on("mark as opaque", display_path(directory))?;
            }
            Hidden::Name(name) => self.overlay_whiteout(directory, name, entry)?,
        }
        Ok(())
    }

    /// Hides a name by overlay's means: the device 0:0; for a directory of this layer, by making it opaque.
    fn overlay_whiteout(&mut self, directory: &[u8], name: &[u8], entry: &Entry) -> Result<(), FsError> {
        let parent = self.open_parent(directory, entry.mtime)?;
        match whiteout::make(parent.fd, name) {
            Err(Errno::EXIST) => {
                let path = join(directory, name);
                let stat = stat_at(parent.fd, name).on("stat", display_path(&path))?;
                if stat.is_dir() {
                    let fd = openat(parent.fd, name, DIR_FLAGS, Mode::empty());
                    let fd = fd.on("open directory", display_path(&path))?;
                    xattr::set_opaque(fd.as_fd()).on("mark as opaque", display_path(&path))?;
                }
                Ok(())
            }
            made => made.on("make whiteout", display_path(&entry.path)),
        }
    }

    /// Deletes what lower layers have, and leaves alone what this one has brought.
    fn delete_lower(&mut self, directory: &[u8], hidden: Hidden<'_>) -> Result<(), FsError> {
        let parent = match self.dirs.open(directory, Missing::Fail) {
            Err(error) if is_missing(&error) => return Ok(()),
            parent => parent?
                .fd
                .try_clone_to_owned()
                .on("duplicate the handle of", display_path(directory))?,
        };
        match hidden {
            Hidden::Nothing => return Ok(()),
            Hidden::Everything => walk::walk(
                parent,
                &mut Lower {
                    base: directory,
                    writer: self,
                },
            )?,
            Hidden::Name(name) => {
                let path = join(directory, name);
                if !self.has_own(&path) {
                    remove_at(parent.as_fd(), OsStr::from_bytes(name), display_path(&path))?;
                } else if stat_at(parent.as_fd(), name).is_ok_and(|stat| stat.is_dir()) {
                    let fd = openat(&parent, name, DIR_FLAGS, Mode::empty());
                    let fd = fd.on("open directory", display_path(&path))?;
                    walk::walk(
                        fd,
                        &mut Lower {
                            base: &path,
                            writer: self,
                        },
                    )?;
                }
            }
        }
        self.forget_dirs();
        Ok(())
    }

    /// Returns whether this layer has brought something at or below a path.
    fn has_own(&self, path: &[u8]) -> bool {
        let below = join(path, b"");
        self.own.contains(path)
            || self
                .own
                .range(below.clone()..)
                .next()
                .is_some_and(|own| own.starts_with(&below))
    }
}

/// Deletes what lower layers have below a directory.
struct Lower<'w> {
    base: &'w [u8],
    writer: &'w Writer,
}

impl Visitor for Lower<'_> {
    type Error = FsError;

    fn visit(&mut self, place: &Place<'_>) -> Result<Next, FsError> {
        let path = join(self.base, place.path.as_os_str().as_bytes());
        if !self.writer.has_own(&path) {
            remove_at(place.dir, OsStr::from_bytes(place.name.to_bytes()), display_path(&path))?;
        } else if place.file_type == FileType::Directory {
            return Ok(Next::Enter(walk::open_dir(place)?));
        }
        Ok(Next::Pass)
    }
}

#[cfg(test)]
mod tests {
    use super::{Hidden, hidden_by};

    #[test]
    fn a_whiteout_names_one_thing_of_its_own_directory() {
        let hidden = |directory: &'static str, name: &'static str| hidden_by(directory.as_bytes(), name.as_bytes());
        assert_eq!(hidden("a", "b").unwrap(), None);
        assert_eq!(hidden("a", ".wh").unwrap(), None);
        assert_eq!(hidden("a", ".wh.b").unwrap(), Some(Hidden::Name(b"b")));
        assert_eq!(hidden("a", ".wh....").unwrap(), Some(Hidden::Name(b"...")));
        assert_eq!(hidden("", ".wh..wh..opq").unwrap(), Some(Hidden::Everything));
        assert_eq!(hidden("a", ".wh..wh.plnk").unwrap(), Some(Hidden::Nothing));
        assert_eq!(hidden("a/.wh..wh.plnk", "10.3").unwrap(), Some(Hidden::Nothing));
        for (directory, name) in [
            ("a", ".wh."),
            ("a", ".wh.."),
            ("a", ".wh..."),
            (".wh.a", "b"),
            ("x/.wh.a", ".wh.b"),
        ] {
            assert!(hidden(directory, name).is_err(), "{directory}/{name}");
        }
    }
}
