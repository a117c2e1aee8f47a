//! What is remembered of a web file: the server's validators, and what they stand for.
//!
//! One small JSON file for each address and credential. What is missing or damaged is not remembered.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use registry::oci::Digest;
use serde::{Deserialize, Serialize};
use snapshotter::SnapshotName;

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
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Keeps it. A note that cannot be written costs only a transfer later.
    pub(super) fn save(&self, path: &Path) {
        let written = || -> std::io::Result<()> {
            let directory = path.parent().unwrap_or(Path::new("/"));
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.persist(path).map_err(|error| error.error)?;
            Ok(())
        };
        let _transferred_again = written();
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
        let note = Remembered {
            etag: Some("W/\"1\"".to_owned()),
            last_modified: None,
            digest: Digest::of(b""),
            snapshot: SnapshotName::new("http-1").unwrap(),
            time: Some(1),
        };
        note.save(&path);
        assert_eq!(Remembered::load(&path).as_ref(), Some(&note));
        assert!(note.has_etag(Some("\"1\"")) && !note.has_etag(Some("\"2\"")) && !note.has_etag(None));
        fs::write(&path, "{").unwrap();
        assert_eq!(Remembered::load(&path), None);
    }
}
