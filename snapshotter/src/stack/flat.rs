//! Trees laid out on disk, for machines that allow no mount.
//!
//! A *live* tree is a plain directory that holds what a chain shows, and the [`Index`] of a scan of it. Changes are
//! what a second scan finds different; they are copied into a snapshot of upper form, and with that the tree shows a
//! chain that is one longer: the next step of a stage goes on in the same tree, and nothing is laid out again. Only
//! where two steps start from one chain, or one fails, a tree is laid out anew.
//!
//! Trees that only this process looks at or adds to share their files with the snapshots ([`Manner::Linked`]); a tree
//! that is to be given to a program gets files of its own first.
//!
//! All trees lie in one directory, which may be on another file system than the store; whoever owns that directory
//! removes what a dead process has left in it.

mod changes;
mod clock;
mod equal;
mod index;
mod lay;
mod live;
mod upper;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::error::FsError;
use crate::name::SnapshotName;
use crate::replica::{LINKING, Manner};
use crate::root::Root;
use crate::special_owners::SpecialOwners;
use crate::stack::Writes;
use crate::store::{ActiveSnapshot, Committed, SnapshotStore};
use clock::Clock;
pub(crate) use lay::lay;
use live::LiveTree;

/// How many trees that nobody uses are kept for whoever comes next.
const MAX_IDLE: usize = 4;

/// What shows on a file system that a file was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Its inode's time of change, whichever way it is written.
    Times,
    /// Its content must be looked at too: a write through a mapping does not always change the time. So it is with
    /// tmpfs.
    Contents,
}

/// The trees of one store that are laid out.
#[derive(Debug)]
pub(super) struct Trees {
    store: Arc<SnapshotStore>,
    directory: Arc<Root>,
    path: PathBuf,
    clock: Clock,
    evidence: Evidence,
    /// Whether files of snapshots can get further names in the directory.
    can_link: bool,
    /// Trees that nobody writes to, the one that was used last at the end.
    idle: Mutex<Vec<Arc<LiveTree>>>,
}

impl Trees {
    pub(super) fn open(store: Arc<SnapshotStore>, path: &Path, evidence: Evidence) -> Result<Self, FsError> {
        let directory = Root::open(path)?;
        let clock = Clock::probe(&directory)?;
        Ok(Self {
            can_link: store.can_link_to(&directory)?,
            directory: Arc::new(directory),
            path: path.to_owned(),
            clock,
            evidence,
            store,
            idle: Mutex::default(),
        })
    }

    /// Returns a tree to look at.
    pub(super) fn show(&self, chain: &[SnapshotName]) -> Result<Shown, FsError> {
        if let Some(live) = self.idle().iter().find(|live| live.chain == chain) {
            return Ok(Shown(Arc::clone(live)));
        }
        let live = Arc::new(self.lay_out(chain, Writes::NewFiles)?);
        self.give_back(Arc::clone(&live));
        Ok(Shown(live))
    }

    /// Takes a tree to be written to, with a snapshot for the changes.
    pub(super) fn claim(trees: &Arc<Self>, chain: &[SnapshotName], writes: Writes) -> Result<Claim, FsError> {
        let live = trees.lay_out(chain, writes)?;
        live.begin(trees.clock)?;
        Ok(Claim {
            snapshot: trees.store.prepare()?,
            live,
            root: OnceLock::new(),
            told: Told::default(),
            trees: Arc::clone(trees),
        })
    }

    /// Completes the idle tree that is nearest to a chain, or makes a new one.
    fn lay_out(&self, chain: &[SnapshotName], writes: Writes) -> Result<LiveTree, FsError> {
        if let Some(live) = self.take_nearest(chain, writes) {
            return self.complete(live, chain);
        }
        if self.can_link && writes == Writes::NewFiles {
            match self.complete(self.new_tree(Manner::Linked)?, chain) {
                // There are limits to the number of names, and rules about whose files may have more.
                Err(error) if error.verb == LINKING => {}
                laid_out => return laid_out,
            }
        }
        self.complete(self.new_tree(Manner::Copied)?, chain)
    }

    fn new_tree(&self, manner: Manner) -> Result<LiveTree, FsError> {
        LiveTree::new(&self.directory, &self.path, &self.store, manner)
    }

    /// Lays on a tree what it lacks of a chain.
    fn complete(&self, mut live: LiveTree, chain: &[SnapshotName]) -> Result<LiveTree, FsError> {
        match &chain[live.chain.len()..] {
            [] => {}
            missing => live.lay(&self.store, missing, self.evidence)?,
        }
        Ok(live)
    }

    /// Takes the tree that shows the longest beginning of a chain and that nobody uses.
    fn take_nearest(&self, chain: &[SnapshotName], writes: Writes) -> Option<LiveTree> {
        let mut idle = self.idle();
        let may_be_written = |live: &LiveTree| writes == Writes::NewFiles || live.manner == Manner::Copied;
        let fits = |live: &Arc<LiveTree>| {
            chain.starts_with(&live.chain) && may_be_written(live) && Arc::strong_count(live) == 1
        };
        let fitting = idle.iter().enumerate().filter(|(_, live)| fits(live));
        let (position, _) = fitting.max_by_key(|(_, live)| live.chain.len())?;
        Arc::into_inner(idle.remove(position))
    }

    /// Keeps a tree for whoever comes next; the one that was not used for longest is deleted when there are many.
    fn give_back(&self, live: Arc<LiveTree>) {
        let mut idle = self.idle();
        idle.push(live);
        let superfluous = (idle.len() > MAX_IDLE).then(|| idle.remove(0));
        drop(idle);
        // Deleting takes its time, in which others need not wait.
        drop(superfluous);
    }

    /// A thread that panicked cannot have left a tree half listed, so its lock is taken over.
    fn idle(&self) -> MutexGuard<'_, Vec<Arc<LiveTree>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A tree that is looked at: it stays what it is for as long as this is held.
#[derive(Debug)]
pub(super) struct Shown(Arc<LiveTree>);

impl Shown {
    pub(super) fn path(&self) -> PathBuf {
        self.0.path.clone()
    }

    pub(super) fn root(&self) -> Result<Root, FsError> {
        self.0.root()
    }
}

/// What whoever has changed a tree tells of it, beside what the scans show.
#[derive(Debug, Default)]
struct Told {
    /// Names that were moved away and back, and to which nothing else was done.
    moved: HashSet<PathBuf>,
    /// Whose the links, FIFOs and sockets that were made or changed are, where somebody else keeps their owners.
    special_owners: Option<SpecialOwners>,
}

/// A tree that is written to, and the snapshot that its changes become. Dropped, both are deleted.
#[derive(Debug)]
pub(super) struct Claim {
    trees: Arc<Trees>,
    live: LiveTree,
    root: OnceLock<Root>,
    told: Told,
    snapshot: ActiveSnapshot,
}

impl Claim {
    pub(super) fn path(&self) -> &Path {
        &self.live.path
    }

    pub(super) fn root(&self) -> Result<&Root, FsError> {
        if let Some(root) = self.root.get() {
            return Ok(root);
        }
        let root = self.live.root()?;
        Ok(self.root.get_or_init(|| root))
    }

    pub(super) fn special_owners(&self) -> Result<SpecialOwners, FsError> {
        self.live.special_owners()
    }

    pub(super) fn set_moved(&mut self, moved: HashSet<PathBuf>) {
        self.told.moved = moved;
    }

    pub(super) fn commit(self, name: &SnapshotName) -> Result<(), FsError> {
        let Self {
            trees,
            mut live,
            snapshot,
            told,
            ..
        } = self;
        live.find_changes(&trees.store, &snapshot.root()?, &told, trees.evidence)?;
        if snapshot.commit_or_defer(name)? == Committed::Now {
            live.chain.push(name.clone());
            trees.give_back(Arc::new(live));
        }
        Ok(())
    }

    pub(super) fn commit_owned(mut self, name: &SnapshotName, owners: &SpecialOwners) -> Result<(), FsError> {
        self.told.special_owners = Some(owners.clone());
        self.commit(name)
    }
}
