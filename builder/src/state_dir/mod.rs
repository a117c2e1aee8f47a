//! The state directory: the only place that knows where everything is on disk.
//!
//! ```text
//! $ROOT/                   mode 0700, owned by whoever runs croze
//!   CACHEDIR.TAG           tells backup programs to pass over it
//!   v1/                    this version of the layout; others are left alone and not read
//!     blobs/               sha256/ab/<hex>: blobs by digest (`registry::content`)
//!     snap/                <name>/fs: snapshots (`snapshotter`)
//!     index/               <k0k1>/<key>: records of the cache
//!     layers/              <name>: which blob holds which snapshot
//!     images/              <hash>: which manifest an index means for a platform
//!     contexts/            <hash>: digests of the files of a build context
//!     remotes/              http-<hash>.json: validators of a web file; git-<hash>/: objects of a repository
//!     tags/                <registry>/<repository>/:<tag>: descriptors of images that have a name
//!     mounts/              <id>: what `RUN --mount=type=cache` keeps
//!     run/                 <process>: scratch space, locked for as long as its process lives; flight-<work>: locked
//!                          by the process that does it
//!     log/                 <build-id>: logs of builds
//!     epochs/              <boot-id>: builds of that boot that are on the disk for certain
//!     sweep                locked shared while a lease is added to, exclusively while things are removed
//!     sweeper              locked by the one process that removes things
//!     lock                 locked shared by a build; exclusively while things are removed on a network's file system,
//!                          for which a build waits
//!     sizes                what the rest took when it was last measured
//!   v1-emulated/           the same, where one user owns every file and owners are noted beside them
//! ```
//!
//! Content appears by rename and is never changed; names go in the order record, then content, so that a
//! record names something that is there. Any number of builds work beside each other. Nothing is synced on
//! the way: a reader treats what a power cut has damaged as absent.

mod epoch;
mod error;
mod file_system;
mod flight;
pub mod frame;
mod lease;
mod lock;
#[cfg(test)]
mod model;
pub mod note;
pub mod paths;
mod scratch;
mod sweep;
mod tags;
pub mod unfinished;
mod usage;

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use registry::content::ContentStore;
use snapshotter::{Ownership, SnapshotStore};

pub use epoch::Epoch;
pub use error::StateDirError;
pub use file_system::FileSystem;
pub use flight::{Flight, Flights};
pub use lease::Lease;
pub use lock::BuildLock;
use lock::{SweepAlone, SweepLock};
pub use scratch::Scratch;
pub use sweep::{Sweeper, Victim};
pub use tags::Tags;
pub use usage::{Class, UsageByClass};

/// Returns the directory of a layout: its version, and in which of two worlds its files live. Neither ever sees the
/// snapshots or records of the other.
fn layout_name(ownership: Ownership) -> &'static str {
    match ownership {
        Ownership::Real => "v1",
        Ownership::Emulated => "v1-emulated",
    }
}

/// What <https://bford.info/cachedir/> asks for.
const CACHEDIR_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This directory holds what croze can make or fetch again.\n\
    # For what the tag means, see https://bford.info/cachedir/\n";

/// An open state directory; a clone is the same directory.
#[derive(Clone, Debug)]
pub struct StateDir {
    /// `$ROOT/v1` or `$ROOT/v1-emulated`, absolute and without links.
    layout: PathBuf,
    ownership: Ownership,
}

impl StateDir {
    /// Opens the state directory `root` for snapshots whose owners are held in one way, and creates what is missing
    /// of it.
    ///
    /// A directory that somebody else owns or may write to is refused: whoever can change a cached
    /// snapshot can put anything into the images of others.
    pub fn open(root: &Path, ownership: Ownership) -> Result<Self, StateDirError> {
        if let Some(parent) = root.parent() {
            std::fs::create_dir_all(parent).map_err(StateDirError::io("create", parent))?;
        }
        create_private(root)?;
        check_owner(root)?;
        let root = std::fs::canonicalize(root).map_err(StateDirError::io("resolve", root))?;
        write_cachedir_tag(&root)?;
        let layout = root.join(layout_name(ownership));
        create_private(&layout)?;
        for class in Class::ALL {
            create_private(&layout.join(class.directory()))?;
        }
        Ok(Self { layout, ownership })
    }

    /// Opens the state directory `root` if there is one, and creates nothing.
    pub fn open_existing(root: &Path, ownership: Ownership) -> Result<Option<Self>, StateDirError> {
        if !Self::exists(root, ownership) {
            return Ok(None);
        }
        check_owner(root)?;
        let root = std::fs::canonicalize(root).map_err(StateDirError::io("resolve", root))?;
        Ok(Some(Self {
            layout: root.join(layout_name(ownership)),
            ownership,
        }))
    }

    /// Returns whether `root` has snapshots whose owners are held in one way.
    pub fn exists(root: &Path, ownership: Ownership) -> bool {
        root.join(layout_name(ownership)).is_dir()
    }

    /// Returns the directory of everything of this version and kind of ownership.
    pub fn layout(&self) -> &Path {
        &self.layout
    }

    /// Returns where the state directory lies below `directory`, if it does.
    pub fn within(&self, directory: &Path) -> Option<String> {
        let root = self.layout.parent()?;
        let below = root.strip_prefix(std::fs::canonicalize(directory).ok()?).ok()?;
        let below = below.to_string_lossy().into_owned();
        (!below.is_empty()).then_some(below)
    }

    /// Returns the directory of a class of content.
    pub fn path(&self, class: Class) -> PathBuf {
        self.layout.join(class.directory())
    }

    /// Opens the blobs; unfinished ones lie in this process's scratch space.
    pub fn blobs(&self, scratch: &Scratch) -> Result<ContentStore, StateDirError> {
        Ok(ContentStore::with_scratch(&self.path(Class::Blobs), scratch.path())?)
    }

    /// Opens the snapshots.
    pub fn snapshots(&self) -> Result<SnapshotStore, StateDirError> {
        Ok(SnapshotStore::open(&self.path(Class::Snapshots), self.ownership)?)
    }

    /// Opens the table of tags.
    pub fn tags(&self) -> Tags {
        Tags::new(self.path(Class::Tags))
    }

    /// Takes the lock that a build holds: until it is dropped nothing is removed from the file system of a network.
    /// While something is, `waits` is told of the directory, and then this blocks until that has ended.
    pub fn lock_for_build(&self, waits: &dyn Fn(&Path)) -> Result<BuildLock, StateDirError> {
        BuildLock::take(&self.layout.join("lock"), waits)
    }

    /// Takes the lock of whoever removes things from the file system of a network: until it is dropped no build begins.
    /// Returns `None` while one runs.
    fn lock_for_sweep(&self) -> Result<Option<SweepAlone>, StateDirError> {
        SweepAlone::take(&self.layout.join("lock"))
    }

    /// Makes scratch space for this process.
    pub fn scratch(&self) -> Result<Scratch, StateDirError> {
        Scratch::create(&self.path(Class::Scratch))
    }

    /// Opens the lock between those who add to a lease and those who remove things.
    fn sweep_lock(&self) -> Result<SweepLock, StateDirError> {
        SweepLock::open(&self.layout.join("sweep"))
    }

    /// Returns who does what of all processes, so that none does it twice.
    pub fn flights(&self) -> Flights {
        Flights::new(self.path(Class::Scratch))
    }

    /// Deletes what processes that died have left behind; done at the start of every build.
    pub fn reclaim(&self) -> Result<(), StateDirError> {
        let epochs = self.path(Class::Epochs);
        epoch::forget_old(&epochs).map_err(StateDirError::io("clean", epochs))?;
        scratch::reclaim(&self.path(Class::Scratch))?;
        Ok(self.snapshots()?.reclaim()?)
    }
}

/// Creates a directory that only its owner can enter; one that exists is left as it is.
fn create_private(dir: &Path) -> Result<(), StateDirError> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(StateDirError::io("create", dir)(error)),
        _ => Ok(()),
    }
}

fn check_owner(root: &Path) -> Result<(), StateDirError> {
    let metadata = std::fs::metadata(root).map_err(StateDirError::io("stat", root))?;
    if !metadata.is_dir() {
        return Err(StateDirError::io("use", root)(io::ErrorKind::NotADirectory.into()));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(StateDirError::NotOwned {
            path: root.to_owned(),
            owner: metadata.uid(),
        });
    }
    match metadata.mode() & 0o7777 {
        mode if mode & 0o022 != 0 => Err(StateDirError::WritableByOthers {
            path: root.to_owned(),
            mode,
        }),
        _ => Ok(()),
    }
}

fn write_cachedir_tag(root: &Path) -> Result<(), StateDirError> {
    let path = root.join("CACHEDIR.TAG");
    match File::create_new(&path) {
        Ok(mut file) => file
            .write_all(CACHEDIR_TAG.as_bytes())
            .map_err(StateDirError::io("write", path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StateDirError::io("create", path)(error)),
    }
}

#[cfg(test)]
mod tests;
