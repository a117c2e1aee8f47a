//! A context that is an archive: unpacked into a snapshot, confined, without devices, owned by root.

use std::fs::{self, File};
use std::io::BufReader;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use snapshotter::layer::{self, Limits, UnpackMode};
use snapshotter::{ActiveSnapshot, FsError, SnapshotStore};

use super::FetchError;
use crate::context::BUFFER;
use crate::copy::{self, archive::decompress};

/// Tells whether a file is an archive.
pub(super) fn is_archive(path: &Path) -> Result<bool, FetchError> {
    let file = File::open(path).map_err(FetchError::io("open", path))?;
    Ok(copy::archive::is_archive(&file))
}

/// Unpacks the archive at `path`, which is called `address`; returns the latest time in it.
pub(super) fn unpack(path: &Path, address: &str, into: &ActiveSnapshot) -> Result<Option<i64>, FetchError> {
    if !is_archive(path)? {
        return Err(FetchError::NotAnArchive(address.to_owned()));
    }
    let file = File::open(path).map_err(FetchError::io("open", path))?;
    let stream = BufReader::with_capacity(BUFFER, file);
    let mut tar = decompress(stream).map_err(FetchError::io("decompress", path))?;
    // Contexts belong to nobody: what is copied from them becomes root's.
    let mode = UnpackMode::ArchiveOwnedBy { uid: 0, gid: 0 };
    let root = into.root()?;
    let unpacked = layer::unpack(&mut tar, &root, mode, &Limits::default());
    unpacked.map_err(|source| FetchError::Archive {
        address: address.to_owned(),
        source,
    })?;
    latest(into.upper())
}

/// Returns the latest time of any file in an archive; none if it is no archive, or a damaged one.
pub(super) fn latest_inside(path: &Path, snapshots: &SnapshotStore) -> Result<Option<i64>, FetchError> {
    if !is_archive(path)? {
        return Ok(None);
    }
    // Never committed: it is gone at the end.
    let unpacked = snapshots.prepare()?;
    match unpack(path, "the archive", &unpacked) {
        Err(FetchError::Archive { .. }) => Ok(None),
        latest => latest,
    }
}

/// Returns the latest time of any file below, in seconds since 1970. Directories do not count: an archive need not
/// name those that its files are in, and then they were made just now.
fn latest(dir: &Path) -> Result<Option<i64>, FetchError> {
    let mut found = None;
    for entry in fs::read_dir(dir).map_err(FetchError::io("list", dir))? {
        let entry = entry.map_err(FetchError::io("list", dir))?;
        let metadata = entry.metadata().map_err(FetchError::io("stat", &entry.path()))?;
        if metadata.is_file() {
            found = found.max(Some(metadata.mtime()));
        } else if metadata.is_dir() {
            found = found.max(latest(&entry.path())?);
        }
    }
    Ok(found)
}

/// Moves a file into a snapshot under a name of its own.
pub(super) fn place(path: &Path, name: &str, into: &ActiveSnapshot) -> Result<(), FetchError> {
    fs::rename(path, into.upper().join(name)).map_err(|error| FsError::new("move", path, error).into())
}
