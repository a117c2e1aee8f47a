//! What is remembered of a web file: the server's validators, and what they stand for.
//!
//! One note for each address and credential. What is missing or damaged is not remembered.

use std::path::Path;

use registry::oci::Digest;
use serde::{Deserialize, Serialize};
use snapshotter::SnapshotName;

use crate::state_dir::note;

/// A web file as it was last time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// The server's name for this version of it.
    pub(super) etag: Option<String>,
    /// When it was changed, as the server writes it.
    pub(super) last_modified: Option<String>,
    /// The digest of its bytes.
    pub(super) digest: Digest,
    /// What it became.
    pub(super) snapshot: SnapshotName,
    /// Its own time in seconds since 1970.
    pub(super) time: Option<i64>,
}

impl Remembered {
    pub(super) fn load(path: &Path) -> Option<Self> {
        note::read(path)
    }

    /// Keeps it, by way of a directory of this process's own. A note that cannot be written costs only a transfer later.
    pub(super) fn save(&self, path: &Path, scratch: &Path) {
        let _transferred_again = note::write(path, scratch, self);
    }

    /// Tells whether the server has anything to recognise this version by.
    pub(super) fn has_validator(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some()
    }

    /// Tells whether an `ETag` is that of this version; weak ones count, since servers weaken them on their own when
    /// they compress.
    pub(super) fn has_etag(&self, etag: Option<&str>) -> bool {
        let strong = |etag: &str| etag.strip_prefix("W/").unwrap_or(etag).to_owned();
        matches!((&self.etag, etag), (Some(known), Some(etag)) if strong(known) == strong(etag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_is_not_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("note");
        let remembered = Remembered {
            etag: Some("W/\"1\"".to_owned()),
            last_modified: None,
            digest: Digest::of(b""),
            snapshot: SnapshotName::new("http-1").unwrap(),
            time: Some(1),
        };
        remembered.save(&path, directory.path());
        assert_eq!(Remembered::load(&path).as_ref(), Some(&remembered));
        assert!(
            remembered.has_etag(Some("\"1\"")) && !remembered.has_etag(Some("\"2\"")) && !remembered.has_etag(None)
        );
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "{").unwrap();
        assert_eq!(Remembered::load(&path), None);
    }
}
