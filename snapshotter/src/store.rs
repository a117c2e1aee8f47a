//! Snapshots on disk.
//!
//! ```text
//! DIR/
//!   <name>/fs/              a committed snapshot: never changed again
//!   <name>/owners           owners of its links and FIFOs, where the kernel does not hold them
//!   <name>/stamp            who vouches for it, if somebody does ([`Keeper`])
//!   _active/<id>/{fs,work}/ one that is being made; its maker holds a `flock` on the directory
//!   _trash/<id>/            on its way to be deleted
//! ```
//!
//! There is no index: a name exists if and only if its snapshot is complete, because the only thing that makes a
//! name is the rename in [`ActiveSnapshot::commit`]. Any number of processes may share a store. Two that make the
//! same snapshot agree without talking: whoever comes second finds the name taken, which is success. An active
//! snapshot whose lock is free belongs to a process that died; [`SnapshotStore::reclaim`] deletes those.
//!
//! Nothing is synced here. A power cut can therefore leave a name without its files: a store that is used for a
//! [`Keeper`] discards what that does not vouch for.

mod active;
mod keeper;
mod stamp;
mod usage;

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags, linkat, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;

use crate::attributes::Timestamp;
use crate::error::{FsError, OnPath as _};
use crate::form::Ownership;
use crate::inodes::Inodes;
use crate::name::SnapshotName;
use crate::root::Root;
use crate::special_owners::SpecialOwners;

pub use active::ActiveSnapshot;
pub(crate) use active::Committed;
pub use keeper::Keeper;
use stamp::Vouched;
pub use usage::{Usage, measure};

/// Directory of the snapshots being made.
const ACTIVE: &str = "_active";
/// Directory of what is being deleted.
const TRASH: &str = "_trash";

/// A directory of snapshots.
#[derive(Debug)]
pub struct SnapshotStore {
    path: PathBuf,
    root: Root,
    ownership: Ownership,
    keeper: Option<Arc<dyn Keeper>>,
    vouched: Vouched,
}

/// What is known of a committed snapshot without looking into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// The time of its directory: when it was committed, or what its users have set since.
    pub modified: Timestamp,
}

impl SnapshotStore {
    /// Opens the store in an existing directory, whose snapshots all have their owners held in one way.
    pub fn open(dir: &Path, ownership: Ownership) -> Result<Self, FsError> {
        let root = Root::open(dir)?;
        for own in [ACTIVE, TRASH] {
            match mkdirat(&root, own, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(FsError::new("make directory", dir.join(own), error)),
            }
        }
        Ok(Self {
            path: dir.to_owned(),
            root,
            ownership,
            keeper: None,
            vouched: Vouched::default(),
        })
    }

    /// Uses the store on behalf of somebody.
    #[must_use]
    pub fn kept_by(self, keeper: Arc<dyn Keeper>) -> Self {
        Self {
            keeper: Some(keeper),
            ..self
        }
    }

    /// Returns who holds the owners of files.
    pub fn ownership(&self) -> Ownership {
        self.ownership
    }

    /// Returns what is known of a snapshot, or `None` when no such snapshot is committed. One that the keeper does not
    /// vouch for is removed, and counts as not committed.
    pub fn stat(&self, name: &SnapshotName) -> Result<Option<SnapshotInfo>, FsError> {
        let path = Path::new(name.as_str());
        if let Some(keeper) = &self.keeper {
            keeper.keep(name).on("keep snapshot", path)?;
            self.vouched
                .check(name, || stamp::discard_doubtful(&self.root, path, &**keeper))?;
        }
        let stat = self.root.stat(path, false)?;
        Ok(stat.map(|stat| SnapshotInfo { modified: stat.mtime }))
    }

    /// Returns the stamp of a committed snapshot, if it has one.
    pub fn stamp(&self, name: &SnapshotName) -> Result<Option<String>, FsError> {
        stamp::of(&self.root, Path::new(name.as_str()))
    }

    /// Returns where the files of a snapshot are once it is committed.
    pub fn fs_dir(&self, name: &SnapshotName) -> PathBuf {
        self.path.join(name.as_str()).join("fs")
    }

    /// Opens the files of a committed snapshot.
    pub fn root(&self, name: &SnapshotName) -> Result<Root, FsError> {
        let files = Root::open(&self.fs_dir(name))?;
        self.opened(files, &self.special_owners(std::slice::from_ref(name))?)
    }

    /// Opens a directory that is no snapshot but has its owners held in the store's way: a cache mount.
    pub fn open_beside(&self, dir: &Path) -> Result<Root, FsError> {
        Ok(Root::open(dir)?.with_inodes(Inodes::new(self.ownership)))
    }

    /// Makes the inodes of a tree in which these owners are known, and the tree with them.
    pub(crate) fn opened(&self, tree: Root, owners: &SpecialOwners) -> Result<Root, FsError> {
        let inodes = Inodes::new(self.ownership);
        if let Some(specials) = inodes.specials() {
            owners.install(&tree, specials)?;
        }
        Ok(tree.with_inodes(inodes))
    }

    /// Returns the owners of special files in a chain of snapshots, the lowest of which comes first.
    pub fn special_owners(&self, chain: &[SnapshotName]) -> Result<SpecialOwners, FsError> {
        let mut owners = SpecialOwners::default();
        if self.ownership == Ownership::Real {
            return Ok(owners);
        }
        for name in chain {
            let path = Path::new(name.as_str());
            let above = SpecialOwners::read(self.root.open_dir(path)?.as_fd(), path)?;
            if owners.is_empty() {
                owners = above;
            } else {
                owners.stack(above, &Root::open(&self.fs_dir(name))?)?;
            }
        }
        Ok(owners)
    }

    /// Begins a snapshot, empty as yet.
    pub fn prepare(&self) -> Result<ActiveSnapshot, FsError> {
        ActiveSnapshot::new(&self.path, &self.root, self.ownership, self.keeper.clone())
    }

    /// Removes a committed snapshot; the name is free at once, even if this process dies while the files are being
    /// deleted. No such snapshot is success.
    pub fn remove(&self, name: &SnapshotName) -> Result<(), FsError> {
        discard(&self.root, Path::new(name.as_str()))
    }

    /// Shows the committed snapshots in the order of their names, until the visitor returns an error.
    pub fn walk<E: From<FsError>>(
        &self,
        visit: &mut dyn FnMut(&SnapshotName, &SnapshotInfo) -> Result<(), E>,
    ) -> Result<(), E> {
        for entry in usage::names(&self.root, Path::new(""))? {
            // What is not a snapshot's name is not a snapshot: the store's own directories, or a stranger's file.
            let Some(name) = entry.to_str().and_then(|name| SnapshotName::new(name).ok()) else {
                continue;
            };
            // Another process may have removed it since the directory was listed.
            if let Some(info) = self.stat(&name)? {
                visit(&name, &info)?;
            }
        }
        Ok(())
    }

    /// Returns what a committed snapshot takes on disk.
    pub fn usage(&self, name: &SnapshotName) -> Result<Usage, FsError> {
        measure(self.root.open_dir(Path::new(name.as_str()))?)
    }

    /// Returns whether files of the store can have further names in another directory: not on another file system, and
    /// not through another mount of the same.
    pub(crate) fn can_link_to(&self, directory: &Root) -> Result<bool, FsError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        loop {
            let here = Path::new(TRASH).join(active::unique_id());
            let there = active::unique_id();
            openat(&self.root, &here, flags, Mode::RUSR | Mode::WUSR).on("create", &here)?;
            let linked = linkat(&self.root, &here, directory, &there, AtFlags::empty());
            match unlinkat(&self.root, &here, AtFlags::empty()) {
                // Another process has emptied the trash.
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(FsError::new("remove", here, error)),
            }
            match linked {
                Ok(()) => unlinkat(directory, &there, AtFlags::empty()).on("remove", &there)?,
                Err(Errno::NOENT) => continue,
                Err(_) => {}
            }
            return Ok(linked.is_ok());
        }
    }

    /// Deletes what processes that died have left: their active snapshots and whatever is in the trash.
    pub fn reclaim(&self) -> Result<(), FsError> {
        for id in usage::names(&self.root, Path::new(ACTIVE))? {
            let path = Path::new(ACTIVE).join(id);
            if let Some(_locked) = active::abandoned(&self.root, &path)? {
                discard(&self.root, &path)?;
            }
        }
        for id in usage::names(&self.root, Path::new(TRASH))? {
            self.root.remove_tree(&Path::new(TRASH).join(id))?;
        }
        Ok(())
    }
}

/// Deletes a directory of the store: renamed out of sight first, so that nobody ever sees a part of it.
fn discard(root: &Root, path: &Path) -> Result<(), FsError> {
    let trashed = Path::new(TRASH).join(active::unique_id());
    fault::point("snapshot.trash").on("move to the trash", path)?;
    match renameat(root.as_fd(), path, root.as_fd(), &trashed) {
        Ok(()) => {
            fault::point("snapshot.trashed").on("remove", path)?;
            root.remove_tree(&trashed)
        }
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(FsError::new("move to the trash", path, error)),
    }
}
