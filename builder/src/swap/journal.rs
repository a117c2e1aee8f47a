//! What a successor needs to know to put everything back.
//!
//! The journal is one small file that is replaced by a rename. It says what the entries of a slot's place *are*, so
//! that single moves need no note: whatever lies in the wrong place is moved to the right one.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::error::{OnPath as _, SwapError};
use super::exchange::Rename;
use super::slot::Slot;

/// The journal's name in the stash.
const NAME: &str = "journal";
/// The name of a journal that is being written.
const NEW: &str = "journal.new";

/// Something that is put at a path of the exchanged `/` for the time of a step, as a mount would be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Placement {
    /// Where: an absolute path none of whose existing parts is a link.
    pub target: PathBuf,
    /// How many of the names in `target` do not exist, counted from its end; with none, what is there is covered.
    pub missing: usize,
    /// What becomes of it afterwards.
    pub stay: Stay,
}

/// What becomes of something that was placed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Stay {
    /// It was made for the step, and is removed.
    Made,
    /// It goes back to where it lies otherwise.
    Moved {
        /// Where.
        from: PathBuf,
    },
    /// It is a mount of the container's own with another content; it gets its own back.
    Overwritten,
}

/// How far an exchange has got.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Stage {
    /// All entries of the places are the container's own, and some or all of those are in the stash.
    Clearing,
    /// All of the container's own entries are in the stash, and all entries of the places are the tree's.
    Occupied,
}

/// An exchange that has begun.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Journal {
    pub(super) stage: Stage,
    pub(super) slots: Vec<Slot>,
    /// What was put over the trees, in order.
    pub(super) placed: Vec<Placement>,
}

impl Journal {
    /// Reads the journal of a stash, if it has one.
    pub(super) fn read(stash: BorrowedFd<'_>, shown: &Path) -> Result<Option<Self>, SwapError> {
        let path = shown.join(NAME);
        let file = match openat(stash, NAME, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            opened => opened.on("open", &path)?,
        };
        let mut text = Vec::new();
        File::from(file).read_to_end(&mut text).on("read", &path)?;
        let journal = serde_json::from_slice(&text).map_err(|source| SwapError::Journal { path, source })?;
        Ok(Some(journal))
    }

    /// Writes the journal of a stash; it is the old one or this one at any time.
    pub(super) fn write(&self, stash: BorrowedFd<'_>, shown: &Path, rename: &dyn Rename) -> Result<(), SwapError> {
        let path = shown.join(NEW);
        let text = serde_json::to_vec(self).map_err(|source| SwapError::Journal {
            path: path.clone(),
            source,
        })?;
        let create = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(stash, NEW, create, Mode::RUSR | Mode::WUSR).on("create", &path)?;
        File::from(file).write_all(&text).on("write", &path)?;
        rename.replace(stash, NEW, NAME).on("rename", &path)
    }

    /// Removes the journal of a stash: everything is back.
    pub(super) fn remove(stash: BorrowedFd<'_>, shown: &Path) -> Result<(), SwapError> {
        unlinkat(stash, NAME, AtFlags::empty()).on("remove", shown.join(NAME))
    }
}
