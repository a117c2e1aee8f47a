//! What is exchanged: pairs of directories.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::looks::Looks;

/// A directory of the container, and the directory of a tree whose entries take the place of its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Slot {
    /// The container's directory.
    pub place: PathBuf,
    /// The tree's directory.
    pub tree: PathBuf,
    /// The names that are moved in neither direction.
    pub kept: BTreeSet<OsString>,
    /// The only names that are moved, if not all are.
    pub only: Option<BTreeSet<OsString>>,
    /// Of a place that stands for the tree's directory because it cannot be moved itself: how it looks otherwise.
    pub(super) stands_in: Option<StandIn>,
}

/// A directory that stands for another one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct StandIn {
    /// How it looks otherwise.
    pub(super) own: Looks,
    /// Whether the tree has no such directory of its own.
    pub(super) is_extra: bool,
}

impl Slot {
    /// Returns the slot in which the entries of two directories are exchanged, but for some.
    pub(super) fn of_all_but(place: PathBuf, tree: PathBuf, kept: BTreeSet<OsString>) -> Self {
        Self {
            place,
            tree,
            kept,
            only: None,
            stands_in: None,
        }
    }

    /// Whether the place stands for a directory; if so, whether the tree has that directory.
    pub fn stands_for_existing(&self) -> Option<bool> {
        self.stands_in.as_ref().map(|stands_in| !stands_in.is_extra)
    }

    /// Whether entries of this name are moved.
    pub fn moves(&self, name: &OsStr) -> bool {
        !self.kept.contains(name) && self.only.as_ref().is_none_or(|only| only.contains(name))
    }
}
