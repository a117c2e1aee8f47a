//! Trees that the kernel's overlay makes.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::StackError;
use crate::inodes::Specials;
use crate::name::SnapshotName;
use crate::overlay::Overlay;
use crate::root::Root;
use crate::special_owners::SpecialOwners;
use crate::store::{ActiveSnapshot, SnapshotStore};

/// A chain as a stack of directories; nothing is mounted until somebody looks.
#[derive(Debug)]
pub(super) struct Layered<W> {
    store: Arc<SnapshotStore>,
    chain: Vec<SnapshotName>,
    overlay: Overlay,
    writable: W,
}

/// What a stack that is written to has beside its directories.
#[derive(Debug)]
pub(super) struct Writable {
    /// Declared first, because it is to be unmounted before the snapshot is deleted.
    root: OnceLock<Root>,
    snapshot: ActiveSnapshot,
}

impl Layered<()> {
    pub(super) fn view(store: Arc<SnapshotStore>, chain: &[SnapshotName]) -> Self {
        Self {
            overlay: Overlay {
                lower: lower(&store, chain),
                upper: None,
            },
            chain: chain.to_vec(),
            store,
            writable: (),
        }
    }
}

impl<W> Layered<W> {
    pub(super) fn overlay(&self) -> &Overlay {
        &self.overlay
    }

    pub(super) fn special_owners(&self) -> Result<SpecialOwners, StackError> {
        Ok(self.store.special_owners(&self.chain)?)
    }

    /// Mounts the stack.
    pub(super) fn mount(&self) -> Result<Root, StackError> {
        self.opened(&self.overlay)
    }

    fn opened(&self, overlay: &Overlay) -> Result<Root, StackError> {
        let root = Root::from_fd(overlay.mount()?);
        Ok(self.store.opened(root, &self.special_owners()?)?)
    }
}

impl Layered<Writable> {
    pub(super) fn workspace(store: Arc<SnapshotStore>, chain: &[SnapshotName]) -> Result<Self, StackError> {
        let snapshot = store.prepare()?;
        Ok(Self {
            overlay: Overlay {
                lower: lower(&store, chain),
                upper: Some(snapshot.as_upper()),
            },
            chain: chain.to_vec(),
            store,
            writable: Writable {
                root: OnceLock::new(),
                snapshot,
            },
        })
    }

    /// Returns the directory that receives the changes.
    pub(super) fn upper(&self) -> &Path {
        self.writable.snapshot.upper()
    }

    /// Mounts what lies below the upper directory.
    pub(super) fn below(&self) -> Result<Root, StackError> {
        self.opened(&Overlay {
            lower: self.overlay.lower.clone(),
            upper: None,
        })
    }

    /// Mounts the stack unless it is mounted.
    pub(super) fn root(&self) -> Result<&Root, StackError> {
        if let Some(root) = self.writable.root.get() {
            return Ok(root);
        }
        let root = self.mount()?;
        Ok(self.writable.root.get_or_init(|| root))
    }

    pub(super) fn commit(self, name: &SnapshotName) -> Result<(), StackError> {
        let Writable { root, snapshot } = self.writable;
        let owners = match root.get().and_then(|seen| Some((seen, seen.inodes().specials()?))) {
            Some((seen, specials)) => SpecialOwners::find(&Root::open(snapshot.upper())?, seen, specials)?,
            None => SpecialOwners::default(),
        };
        // Unmounts it.
        drop(root);
        snapshot.commit_owned(name, &owners)?;
        Ok(())
    }

    pub(super) fn commit_owned(self, name: &SnapshotName, owners: &SpecialOwners) -> Result<(), StackError> {
        let Writable { root, snapshot } = self.writable;
        drop(root);
        let upper = Root::open(snapshot.upper())?;
        let specials = Specials::default();
        owners.install(&upper, &specials)?;
        let changed = SpecialOwners::find(&upper, &upper, &specials)?;
        snapshot.commit_owned(name, &changed)?;
        Ok(())
    }
}

/// Returns the directories of a chain, the topmost first, each once: the kernel takes none twice. What a snapshot does to
/// the tree it does where it lies topmost; whatever it did further down, it does there again.
fn lower(store: &SnapshotStore, chain: &[SnapshotName]) -> Vec<PathBuf> {
    let mut seen = HashSet::new();
    let topmost = chain.iter().rev().filter(|name| seen.insert(*name));
    topmost.map(|name| store.fs_dir(name)).collect()
}
