//! Further names of files that are in the tree already.

use std::os::fd::AsFd as _;

use rustix::fs::{AtFlags, linkat};
use rustix::io::Errno;

use super::dirs::{Missing, Parent};
use super::error::UnpackCause;
use super::path::TreePath;
use super::writer::{Writer, is_missing};
use super::{UnpackMode, display_path};
use crate::error::OnPath as _;
use crate::inodes::stat_at;
use crate::layer::archive::Entry;
use crate::whiteout::is_whiteout;

impl Writer {
    /// Makes a hard link. Owner, mode and times are the file's own; what the link's entry says of them is the same
    /// or wrong.
    pub(super) fn hard_link(&mut self, entry: &Entry, path: &TreePath) -> Result<(), UnpackCause> {
        let bad_target = || UnpackCause::LinkTarget {
            target: entry.link.clone(),
        };
        let target = TreePath::new(&entry.link)
            .filter(|target| target != path)
            .ok_or_else(bad_target)?;
        let (Some((directory, name)), Some((target_directory, target_name))) = (path.split(), target.split()) else {
            return Err(bad_target());
        };
        let from = match self.link_dirs.open(target_directory, Missing::Fail) {
            Err(error) if is_missing(&error) => return self.no_target(entry),
            from => from?
                .fd
                .try_clone_to_owned()
                .on("duplicate the handle of", display_path(target_directory))?,
        };
        let stat = match stat_at(from.as_fd(), target_name) {
            Err(Errno::NOENT) => return self.no_target(entry),
            stat => stat.on("stat", display_path(target.as_bytes()))?,
        };
        if stat.is_dir() {
            return Err(bad_target());
        }
        if is_whiteout(&stat) {
            return self.no_target(entry);
        }
        let here = self.dirs.open(directory, Missing::Fail)?.fd;
        if stat_at(here, name).is_ok_and(|there| there.inode() == stat.inode()) {
            return Ok(());
        }
        let make = |parent: Parent<'_>| linkat(&from, target_name, parent.fd, name, AtFlags::empty());
        Ok(self
            .replace(directory, name, make)?
            .on("make hard link", display_path(&entry.path))?)
    }

    /// Deals with a hard link to what is not there: in a tree of its own it may be in a lower layer.
    fn no_target(&mut self, entry: &Entry) -> Result<(), UnpackCause> {
        if self.mode != UnpackMode::Upper {
            return Err(UnpackCause::LinkTargetMissing {
                target: entry.link.clone(),
            });
        }
        self.result.needs_merged = true;
        Ok(())
    }
}
