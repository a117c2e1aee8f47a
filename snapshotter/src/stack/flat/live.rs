//! One tree that is laid out.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, mkdirat};

use super::clock::Clock;
use super::index::Index;
use super::{Evidence, Told, changes, equal, lay, upper};
use crate::attributes::Attributes;
use crate::error::{FsError, OnPath as _};
use crate::inodes::Inodes;
use crate::name::SnapshotName;
use crate::replica::Manner;
use crate::root::Root;
use crate::special_owners::SpecialOwners;
use crate::store::SnapshotStore;
use crate::xattr;

/// A directory that shows a chain; deleted when dropped.
#[derive(Debug)]
pub(super) struct LiveTree {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What it shows, as long as nobody has claimed it.
    pub(super) chain: Vec<SnapshotName>,
    /// Whether its files are the snapshots' own.
    pub(super) manner: Manner,
    directory: Arc<Root>,
    inodes: Inodes,
    index: Index,
}

impl LiveTree {
    /// Makes a tree that shows the empty chain, in an open directory that is at `path`.
    pub(super) fn new(
        directory: &Arc<Root>,
        path: &Path,
        store: &SnapshotStore,
        manner: Manner,
    ) -> Result<Self, FsError> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let name = format!("tree-{}", COUNTER.fetch_add(1, Ordering::Relaxed));
        mkdirat(directory.as_fd(), &name, Mode::RWXU).on("make directory", &name)?;
        Ok(Self {
            path: path.join(name),
            chain: Vec::new(),
            manner,
            directory: Arc::clone(directory),
            inodes: Inodes::new(store.ownership()),
            index: Index::default(),
        })
    }

    pub(super) fn root(&self) -> Result<Root, FsError> {
        Ok(Root::open(&self.path)?.with_inodes(self.inodes.clone()))
    }

    /// Lays more snapshots on the tree, the lowest first. After an error the tree is of no use.
    pub(super) fn lay(
        &mut self,
        store: &SnapshotStore,
        snapshots: &[SnapshotName],
        evidence: Evidence,
    ) -> Result<(), FsError> {
        let root = self.root()?;
        for name in snapshots {
            lay(&store.root(name)?, &root, self.manner)?;
            self.chain.push(name.clone());
        }
        self.index = self.index.renewed(&root, self.manner, evidence)?;
        Ok(())
    }

    /// Makes the tree ready to be written to: its top is that of a new snapshot, and whatever is changed from now on
    /// will have another time than it has.
    pub(super) fn begin(&self, clock: Clock) -> Result<(), FsError> {
        let fresh = Attributes {
            uid: 0,
            gid: 0,
            mode: 0o755,
        };
        let root = self.root()?;
        xattr::clear_all(root.as_fd(), &mut xattr::Reader::default())
            .and_then(|()| self.inodes.dress(root.as_fd(), rustix::fs::FileType::Directory, fresh))
            .on("set the attributes of", &self.path)?;
        clock.wait_past(self.index.latest);
        Ok(())
    }

    /// Puts what was changed since the tree was last scanned into the empty directory of a snapshot.
    pub(super) fn find_changes(
        &mut self,
        store: &SnapshotStore,
        into: &Root,
        told: &Told,
        evidence: Evidence,
    ) -> Result<(), FsError> {
        let root = self.root()?;
        let before = std::mem::take(&mut self.index);
        let is_kept = |path: &Path| self.is_kept(store, &root, path);
        let (index, changes) = changes::compare(&root, before, &told.moved, evidence, is_kept)?;
        if let (Some(specials), Some(owners)) = (self.inodes.specials(), &told.special_owners) {
            for path in changes.files() {
                owners.install_at(path, &root, specials)?;
            }
        }
        self.index = index;
        upper::write(&root, &changes, into)
    }

    /// Returns whether a file is what the chain has under its path.
    fn is_kept(&self, store: &SnapshotStore, root: &Root, path: &Path) -> Result<bool, FsError> {
        for name in self.chain.iter().rev() {
            let snapshot = Root::open(&store.fs_dir(name))?;
            if snapshot.stat(path, false)?.is_some() {
                return equal::is_equal(root, &snapshot, path);
            }
        }
        Ok(false)
    }

    /// Returns the owners of links, FIFOs and sockets.
    pub(super) fn special_owners(&self) -> Result<SpecialOwners, FsError> {
        match self.inodes.specials() {
            Some(specials) => {
                let root = self.root()?;
                SpecialOwners::find(&root, &root, specials)
            }
            None => Ok(SpecialOwners::default()),
        }
    }
}

impl Drop for LiveTree {
    fn drop(&mut self) {
        // What cannot be deleted now goes with the directory that all trees are in.
        let _deleted_later = self
            .directory
            .remove_tree(Path::new(self.path.file_name().unwrap_or_default()));
    }
}
