//! Removing things beside running builds.
//!
//! One process sweeps at a time. What it removes is moved into its scratch space while no lease can be added to, in
//! batches of some milliseconds, and each batch is deleted before the next is moved: nobody ever sees half of a thing, a
//! sweep can end after any batch with nothing left behind, and what a sweeper that dies leaves is at most one batch, which is
//! reclaimed like every dead process's scratch space. Something that a lease names, or that was used since the sweeper has
//! seen it, stays.
//!
//! On a file system of the network, where one machine may see late what another has written, a sweep waits until no build
//! runs.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use snapshotter::Root;

use super::lock::{SweepAlone, SweepLock};
use super::{Class, FileSystem, Scratch, StateDir, StateDirError, lease};

/// Files removed at a time, unless one thing has more.
const BATCH: u64 = 64;

/// The right to remove things from a state directory.
#[derive(Debug)]
pub struct Sweeper {
    layout: PathBuf,
    sweep: SweepLock,
    scratch: Scratch,
    _turn: File,
    _alone: Option<SweepAlone>,
}

/// Something to remove.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Victim {
    /// Its path in the layout.
    pub path: PathBuf,
    /// When it was last used, as far as the sweeper knows.
    pub used: SystemTime,
    /// How many files it is, as far as the sweeper knows.
    pub inodes: u64,
}

impl StateDir {
    /// Returns the right to remove things, unless another process has it, or builds run that could not be told.
    pub fn sweeper(&self) -> Result<Option<Sweeper>, StateDirError> {
        let path = self.layout.join("sweeper");
        let open = File::options().write(true).create(true).truncate(false).open(&path);
        let turn = open.map_err(StateDirError::io("open", &path))?;
        match flock(&turn, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(StateDirError::io("lock", path)(error.into())),
        }
        let alone = match self.is_remote()? {
            true => match self.lock_for_sweep()? {
                Some(alone) => Some(alone),
                None => return Ok(None),
            },
            false => None,
        };
        Ok(Some(Sweeper {
            layout: self.layout.clone(),
            sweep: self.sweep_lock()?,
            scratch: self.scratch()?,
            _turn: turn,
            _alone: alone,
        }))
    }

    /// Returns whether other machines may use the directory too.
    pub fn is_remote(&self) -> Result<bool, StateDirError> {
        let found = FileSystem::of(&self.layout).map_err(StateDirError::io("stat", &self.layout))?;
        Ok(found == FileSystem::Shared)
    }

    /// Returns whether the process with a scratch space of this name lives.
    pub fn is_alive(&self, name: &str) -> bool {
        matches!(is_alive(&self.path(Class::Scratch).join(name)), Ok(true))
    }

    /// Returns the paths of the layout that running builds rely on.
    pub fn leased(&self) -> Result<BTreeSet<PathBuf>, StateDirError> {
        leased(&self.layout)
    }
}

impl Sweeper {
    /// Removes things in their order until it is time to stop, but at least one batch, so that sweeps that never have time
    /// come to an end too. Says for each thing that it came to whether that is gone: all go that nobody relies on and that
    /// were not used since.
    ///
    /// # Errors
    /// If leases cannot be read, or something cannot be removed; then nothing more is.
    pub fn remove(&mut self, victims: &[Victim], until: Option<Instant>) -> Result<Vec<bool>, StateDirError> {
        let mut removed = Vec::with_capacity(victims.len());
        let is_over = || until.is_some_and(|until| Instant::now() >= until);
        while removed.len() < victims.len() && (removed.is_empty() || !is_over()) {
            let batch = first_batch(&victims[removed.len()..]);
            removed.extend(self.move_out(batch)?);
            self.delete(batch.len())?;
        }
        Ok(removed)
    }

    /// Returns a directory of the sweeper's own, on the same file system.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Moves a batch out of sight, each thing to its number, while no lease is added to.
    fn move_out(&mut self, batch: &[Victim]) -> Result<Vec<bool>, StateDirError> {
        let Self {
            layout, sweep, scratch, ..
        } = self;
        let moved = sweep.alone(|| {
            fault::point("sweep.read").map_err(StateDirError::io("read the leases in", &*layout))?;
            let leased = leased(layout)?;
            let move_one = |(number, victim): (usize, &Victim)| {
                let goes = !leased.contains(&victim.path) && is_unused_since(layout, victim);
                Ok(goes && move_out(layout, &victim.path, &scratch.path().join(number.to_string()))?)
            };
            batch.iter().enumerate().map(move_one).collect()
        });
        moved.map_err(StateDirError::io("lock", layout.join("sweep")))?
    }

    /// Deletes what was moved of a batch of so many.
    fn delete(&self, batch: usize) -> Result<(), StateDirError> {
        let root = Root::open(self.scratch.path())?;
        fault::point("sweep.delete").map_err(StateDirError::io("remove what is left in", self.scratch.path()))?;
        for number in 0..batch {
            root.remove_tree(Path::new(&number.to_string()))?;
        }
        Ok(())
    }
}

/// Returns the things that are removed together: the first, and more while they are few files.
fn first_batch(victims: &[Victim]) -> &[Victim] {
    let mut files = 0;
    let fits = |victim: &&Victim| {
        files += victim.inodes;
        files <= BATCH
    };
    let count = victims.iter().take_while(fits).count();
    &victims[..count.max(1)]
}

fn is_unused_since(layout: &Path, victim: &Victim) -> bool {
    let found = fs::symlink_metadata(layout.join(&victim.path)).and_then(|metadata| metadata.modified());
    found.is_ok_and(|used| used == victim.used)
}

fn move_out(layout: &Path, victim: &Path, to: &Path) -> Result<bool, StateDirError> {
    let from = layout.join(victim);
    match fault::point("sweep.move").and_then(|()| fs::rename(&from, to)) {
        Ok(()) => {
            fault::point("sweep.moved").map_err(StateDirError::io("remove", from))?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StateDirError::io("remove", from)(error)),
    }
}

/// Reads the leases of all processes that live.
fn leased(layout: &Path) -> Result<BTreeSet<PathBuf>, StateDirError> {
    let run = layout.join(Class::Scratch.directory());
    let mut leased = BTreeSet::new();
    for entry in fs::read_dir(&run).map_err(StateDirError::io("list", &run))? {
        let entry = entry.map_err(StateDirError::io("list", &run))?;
        let path = entry.path();
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) || !is_alive(&path)? {
            continue;
        }
        leased.extend(lease::read(&path)?);
        leased.insert(Path::new(Class::Logs.directory()).join(entry.file_name()));
    }
    Ok(leased)
}

fn is_alive(scratch: &Path) -> Result<bool, StateDirError> {
    let directory = match File::open(scratch) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened.map_err(StateDirError::io("open", scratch))?,
    };
    match flock(&directory, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(StateDirError::io("lock", scratch)(error.into())),
    }
}
