//! The contract of a store of records.

use std::io;
use std::path::PathBuf;

use super::Record;
use crate::op::key::CacheKey;

/// A store of records, shared by builds, threads and processes.
///
/// # Lifecycle
/// A record is *saved* under its canonical key, complete and at once: a reader sees the old one, the new one or
/// none. Further keys of the same value are *linked* to the canonical one. A *lookup* follows links and
/// returns the record; whatever cannot be read, understood or followed is a miss and never an error, because
/// a build can always make the value again. Nothing here says that the content that a record names still
/// exists: who loads a value must check that.
pub trait CacheStore: Send + Sync {
    /// Returns the record under `key`, directly or through links.
    fn lookup(&self, key: CacheKey) -> Option<Record>;

    /// Saves a record under its canonical key, in place of a record or a link that was there.
    ///
    /// # Errors
    /// When the store cannot be written. Nothing has changed then.
    fn save(&self, record: &Record) -> Result<(), CacheError>;

    /// Saves a record under a key that is not its canonical one, in place of what was there: a record of another
    /// machine, which says for itself what its canonical key is. What is under that key stays as it is.
    ///
    /// # Errors
    /// When the store cannot be written. Nothing has changed then.
    fn adopt(&self, key: CacheKey, record: &Record) -> Result<(), CacheError>;

    /// Makes `alias` lead to the record that was saved, or adopted, under `key`, in place of what was there.
    ///
    /// A link of a key to itself changes nothing.
    ///
    /// # Errors
    /// When the store cannot be written. Nothing has changed then.
    fn link(&self, alias: CacheKey, key: CacheKey) -> Result<(), CacheError>;
}

/// Why a record could not be written.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The file system refused.
    #[error("cannot {verb} `{path}`")]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The record is not representable: its payload has a map with keys that are not strings.
    #[error("cannot encode a cache record")]
    Encode(#[source] serde_json::Error),
    /// The record is too large for its frame.
    #[error("a cache record of {bytes} bytes is larger than {limit} bytes")]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// The largest allowed size in bytes.
        limit: usize,
    },
}
