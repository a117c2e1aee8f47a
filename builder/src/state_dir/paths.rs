//! Where a thing lies in the layout: the one spelling of the paths that leases, collections and findings name things by.

use std::path::{Path, PathBuf};

use registry::oci::Digest;
use snapshotter::SnapshotName;

use super::Class;

/// Returns the path of a snapshot in the layout.
pub fn snapshot(name: &SnapshotName) -> PathBuf {
    Path::new(Class::Snapshots.directory()).join(name.as_str())
}

/// Returns the path of a blob in the layout, as `registry::content` has it below its directory.
pub fn blob(digest: Digest) -> PathBuf {
    let below = Path::new(Class::Blobs.directory()).join("sha256");
    below.join(sorted(&digest.hex()))
}

/// Returns the path of a record in the layout, by the hex digits of its key.
pub fn record(key: &str) -> PathBuf {
    Path::new(Class::Records.directory()).join(sorted(key))
}

/// Returns the path of a file that lies in a directory named by its first two digits.
pub fn sorted(hex: &str) -> PathBuf {
    let fan = hex.get(..2).unwrap_or(hex);
    Path::new(fan).join(hex)
}
