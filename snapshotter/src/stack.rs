//! Chains of snapshots as whole trees: to look at ([`View`]) and to change ([`Workspace`]).
//!
//! A chain is an ordered list of snapshots, the lowest first. Who makes one tree of it is a matter of the machine
//! ([`Stacking`]): the kernel's overlay, by mounts; or, where nothing may be mounted, this crate itself, which lays
//! the tree out on disk and finds by a scan what was changed in it (`flat`). Either way the changes are committed as
//! a snapshot of the same form, so that each way can go on where the other has stopped.
//!
//! ```text
//! view(chain) ──── tree(), open() ─────────────────────────────▶ dropped
//! workspace(chain) ── tree(): for a program ───────▶ commit(name): one more snapshot
//!                 └── root(): for our own writes ─┘ └ dropped: as if nothing had happened
//! ```

mod flat;
mod layered;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::FsError;
use crate::form::Stacking;
use crate::name::SnapshotName;
use crate::overlay::{MountError, Overlay};
use crate::root::Root;
use crate::special_owners::SpecialOwners;
use crate::store::SnapshotStore;
pub use flat::Evidence;
pub(crate) use flat::lay;
use flat::{Claim, Trees};
use layered::Layered;

/// Makes trees of the chains of one store.
#[derive(Clone, Debug)]
pub struct Stacks {
    store: Arc<SnapshotStore>,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    Overlay,
    Flat(Arc<Trees>),
}

/// A whole tree as data, for another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tree {
    /// A directory of the host.
    Directory(PathBuf),
    /// Stacked directories, still to be mounted.
    Overlay(Overlay),
}

/// How a tree will be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// In any way: by programs.
    Anything,
    /// Files are only ever made and removed, and nothing but a directory is changed where it is: by this crate's
    /// `unpack` and others like it.
    NewFiles,
}

/// Why there is no tree of a chain.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// The kernel could not stack it.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// A file could not be read, made or removed.
    #[error(transparent)]
    Files(#[from] FsError),
}

impl StackError {
    /// Returns the error of the failed call, when it was one.
    pub fn io_error(&self) -> Option<&io::Error> {
        match self {
            Self::Mount(MountError::Refused { source, .. }) => Some(source),
            Self::Mount(MountError::Directory(error)) | Self::Files(error) => Some(&error.source),
            Self::Mount(MountError::TooManyLayers { .. }) => None,
        }
    }
}

impl Stacks {
    /// Has the kernel's overlay stack the snapshots of a store.
    pub fn overlay(store: Arc<SnapshotStore>) -> Self {
        Self {
            store,
            way: Way::Overlay,
        }
    }

    /// Lays trees out in a directory that nobody else uses. It may lie on another file system than the store; what
    /// shows there that a file was changed is for the caller to know.
    pub fn flat(store: Arc<SnapshotStore>, directory: &Path, evidence: Evidence) -> Result<Self, StackError> {
        let trees = Trees::open(Arc::clone(&store), directory, evidence)?;
        Ok(Self {
            store,
            way: Way::Flat(Arc::new(trees)),
        })
    }

    /// Returns where the snapshots are.
    pub fn store(&self) -> &Arc<SnapshotStore> {
        &self.store
    }

    /// Returns who stacks.
    pub fn stacking(&self) -> Stacking {
        match self.way {
            Way::Overlay => Stacking::Overlay,
            Way::Flat(_) => Stacking::Flat,
        }
    }

    /// Shows a chain as it is. Nobody may write to what is shown.
    pub fn view(&self, chain: &[SnapshotName]) -> Result<View, StackError> {
        Ok(View(match &self.way {
            Way::Overlay => Shown::Layered(Layered::view(Arc::clone(&self.store), chain)),
            Way::Flat(trees) => Shown::Flat(trees.show(chain)?),
        }))
    }

    /// Begins a snapshot on top of a chain.
    pub fn workspace(&self, chain: &[SnapshotName], writes: Writes) -> Result<Workspace, StackError> {
        Ok(Workspace(match &self.way {
            Way::Overlay => Working::Layered(Box::new(Layered::workspace(Arc::clone(&self.store), chain)?)),
            Way::Flat(trees) => Working::Flat(Box::new(Trees::claim(trees, chain, writes)?)),
        }))
    }
}

/// A chain that is looked at.
#[derive(Debug)]
pub struct View(Shown);

#[derive(Debug)]
enum Shown {
    Layered(Layered<()>),
    Flat(flat::Shown),
}

impl View {
    /// Returns the tree as data; it is there for as long as the view is.
    pub fn tree(&self) -> Tree {
        match &self.0 {
            Shown::Layered(layered) => Tree::Overlay(layered.overlay().clone()),
            Shown::Flat(shown) => Tree::Directory(shown.path()),
        }
    }

    /// Opens the tree; the view must live as long as what is returned.
    pub fn open(&self) -> Result<Root, StackError> {
        match &self.0 {
            Shown::Layered(layered) => layered.mount(),
            Shown::Flat(shown) => Ok(shown.root()?),
        }
    }
}

/// A chain that is changed; dropping it without [`commit`](Self::commit) throws the changes away.
#[derive(Debug)]
#[must_use = "changes that are not committed are thrown away"]
pub struct Workspace(Working);

#[derive(Debug)]
enum Working {
    Layered(Box<Layered<layered::Writable>>),
    Flat(Box<Claim>),
}

impl Workspace {
    /// Returns the tree as data, to be written to by another process. An overlay is mounted once: whoever asks for
    /// [`root`](Self::root) does not use this.
    pub fn tree(&self) -> Tree {
        match &self.0 {
            Working::Layered(layered) => Tree::Overlay(layered.overlay().clone()),
            Working::Flat(claim) => Tree::Directory(claim.path().to_owned()),
        }
    }

    /// Returns a directory on the file system that changes are written to.
    pub fn directory(&self) -> &Path {
        match &self.0 {
            Working::Layered(layered) => layered.upper(),
            Working::Flat(claim) => claim.path(),
        }
    }

    /// Opens the tree as it is below the snapshot in the making, to be looked at before anything is changed.
    pub fn below(&self) -> Result<Root, StackError> {
        match &self.0 {
            Working::Layered(layered) => layered.below(),
            Working::Flat(claim) => Ok(claim.root()?.try_clone()?),
        }
    }

    /// Returns the tree, to be written to by this process.
    pub fn root(&self) -> Result<&Root, StackError> {
        match &self.0 {
            Working::Layered(layered) => layered.root(),
            Working::Flat(claim) => Ok(claim.root()?),
        }
    }

    /// Says of names in the tree (without a leading slash) that they were moved away and back, and that nothing else was
    /// done to what they stand for: that does not count as a change, although it changes times that nobody can set.
    pub fn set_moved(&mut self, names: impl IntoIterator<Item = PathBuf>) {
        match &mut self.0 {
            // The kernel's overlay sees who moves what.
            Working::Layered(_) => {}
            Working::Flat(claim) => claim.set_moved(names.into_iter().collect()),
        }
    }

    /// Returns the owners of links, FIFOs and sockets in the tree, where the kernel does not hold them.
    pub fn special_owners(&self) -> Result<SpecialOwners, StackError> {
        match &self.0 {
            Working::Layered(layered) => layered.special_owners(),
            Working::Flat(claim) => Ok(claim.special_owners()?),
        }
    }

    /// Publishes what was changed through [`root`](Self::root) as a snapshot. Nobody writes to the tree any more.
    pub fn commit(self, name: &SnapshotName) -> Result<(), StackError> {
        match self.0 {
            Working::Layered(layered) => layered.commit(name),
            Working::Flat(claim) => Ok(claim.commit(name)?),
        }
    }

    /// Publishes what another process has changed, which says whose the links, FIFOs and sockets are that it has made
    /// or changed; who is not listed is root's, and what it has not touched stays whose it was.
    pub fn commit_owned(self, name: &SnapshotName, owners: &SpecialOwners) -> Result<(), StackError> {
        match self.0 {
            Working::Layered(layered) => layered.commit_owned(name, owners),
            Working::Flat(claim) => Ok(claim.commit_owned(name, owners)?),
        }
    }
}
