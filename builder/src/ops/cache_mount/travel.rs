//! Packing a cache mount: its first directory as one blob, while nobody uses it.
//!
//! Packing holds the lock of the directory alone, whatever the mount's sharing: what a step is just writing is no state
//! that another machine should begin with. A mount that stays in use is left where it is.

use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use snapshotter::{FsError, Stacks, measure};

use super::{PACKED, RETRY, empty, failed, open_lock};
use crate::image::{LayerBlob, LayerError, LayerFormat, LayerPacker};
use crate::ops::CacheMountError;
use crate::state_dir::{Class, Lease};

/// How long another build may go on using a mount.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of packing a cache mount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PackedMount {
    /// Its content.
    Packed(Box<LayerBlob>),
    /// There is none on this machine.
    Absent,
    /// Another build uses it.
    InUse,
    /// It is larger than it may be, in bytes.
    TooLarge(u64),
}

/// Why a cache mount could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum MountPackError {
    /// Its directory or lock cannot be used.
    #[error(transparent)]
    Mount(#[from] CacheMountError),
    /// Its files cannot be read.
    #[error(transparent)]
    Files(#[from] FsError),
    /// It cannot be packed.
    #[error(transparent)]
    Pack(#[from] LayerError),
}

/// Packs a cache mount, unless that was done since it was last used. Blocks.
pub(in crate::ops) fn pack(
    lease: &Lease,
    stacks: &Stacks,
    mounts: &Path,
    name: &str,
    max_size: u64,
    (packer, format): (&LayerPacker, LayerFormat),
) -> Result<PackedMount, MountPackError> {
    if !super::exists(mounts, name) {
        return Ok(PackedMount::Absent);
    }
    let discard = |cache: &Path| empty(cache).map_err(|error| error.source);
    let held = lease.hold_directory(Class::Mounts, name, discard);
    let cache: PathBuf = held.map_err(failed("open", Path::new(name)))?;
    let path = cache.join("0.lock");
    let lock = open_lock(&path)?;
    let until = Instant::now() + PATIENCE;
    loop {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if Instant::now() >= until => return Ok(PackedMount::InUse),
            Err(TryLockError::WouldBlock) => std::thread::sleep(RETRY),
            Err(TryLockError::Error(error)) => return Err(failed("lock", &path)(error).into()),
        }
    }
    let directory = cache.join("0");
    // Emptied meanwhile, or just now because power was lost while it was in use.
    if !directory.exists() {
        return Ok(PackedMount::Absent);
    }
    let tree = stacks.store().open_beside(&directory)?;
    let size = measure(tree.open_dir(Path::new(""))?)?.bytes;
    if size > max_size {
        return Ok(PackedMount::TooLarge(size));
    }
    let blob = packer.tree(&tree, &cache.join(PACKED), format)?;
    Ok(PackedMount::Packed(Box::new(blob)))
}
