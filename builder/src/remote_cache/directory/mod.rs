//! A cache in a directory: an image layout that can be copied, archived or put into a volume.
//!
//! ```text
//! oci-layout, index.json     as in every layout; a tag names an index, which is one state of one cache
//! blobs/sha256/<hex>         that index; the image of each entry that it lists; their layers
//! ```
//!
//! The entries of an index are annotated with their keys, so that opening a cache reads two files and a look-up one.
//! An export adds to what is there under a lock and writes a new index; older ones stay, and are found by digest,
//! until `reset=true`.

mod write;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use registry::oci::{Descriptor, Digest, Index, Manifest};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::document::{ARTIFACT_TYPE, CONFIG_LIMIT, ReadEntry, embedded_config, read_entry};
use super::entry::EntryError;
use super::{Foreign, RemoteCacheError, Which};
use crate::cache::Record;
use crate::image::Origin;
use crate::op::key::CacheKey;

pub(super) use write::remove;
pub use write::{Written, add, blob_is_there, lacking};

/// The annotation of `index.json` that names an image or a cache.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation with the keys of an entry, as hex digits with commas between them.
const KEYS: &str = "croze.cache.keys";
/// The longest document that is read, in bytes: an index has about half a kilobyte for each entry.
const DOCUMENT_LIMIT: u64 = 64 << 20;

/// A cache in a directory.
#[derive(Clone, Debug)]
pub struct DirectoryCache {
    directory: PathBuf,
    entries: Vec<Descriptor>,
    by_key: HashMap<CacheKey, Digest>,
}

impl DirectoryCache {
    /// Opens one of the caches in a directory. Blocks.
    ///
    /// # Errors
    /// If it is not there, or is not a cache.
    pub fn open(directory: &Path, which: &Which) -> Result<Self, RemoteCacheError> {
        let name = || match which {
            Which::Tag(tag) => format!("{}:{tag}", directory.display()),
            Which::Digest(digest) => format!("{}@{digest}", directory.display()),
        };
        let index = read_index(directory)?;
        let found = index
            .iter()
            .flat_map(|index| &index.manifests)
            .find(|entry| match which {
                Which::Tag(tag) => entry.annotations.get(REF_NAME) == Some(tag),
                Which::Digest(digest) => entry.digest == *digest,
            });
        let digest = match (found, which) {
            (Some(found), _) => found.digest,
            // An older state, which nothing names any more.
            (None, Which::Digest(digest)) if index.is_some() => *digest,
            (None, _) => return Err(RemoteCacheError::Absent(name())),
        };
        let entries = read_entries(directory, digest, name)?;
        let by_key = entries
            .iter()
            .flat_map(|entry| keys(entry).into_iter().map(|key| (key, entry.digest)));
        Ok(Self {
            directory: directory.to_owned(),
            by_key: by_key.collect(),
            entries,
        })
    }

    /// Returns where layers of the cache can be had.
    pub fn origin(&self) -> Origin {
        Origin::Directory(self.directory.clone())
    }

    /// Returns the record under a key. Blocks.
    ///
    /// # Errors
    /// If the entry is damaged.
    pub fn lookup(&self, key: CacheKey) -> Result<Option<Record>, RemoteCacheError> {
        let Some(&digest) = self.by_key.get(&key) else {
            return Ok(None);
        };
        let ReadEntry { entry, blobs } = self.read(digest)?;
        if !entry.keys.contains(&key) {
            return Err(RemoteCacheError::entry(digest)(EntryError::OtherKey(key)));
        }
        let record = entry.record(&blobs, &self.origin());
        record.map(Some).map_err(RemoteCacheError::entry(digest))
    }

    /// Returns the descriptors of all entries.
    pub(super) fn entries(&self) -> &[Descriptor] {
        &self.entries
    }

    /// Reads the entry that a manifest holds.
    pub(super) fn read(&self, digest: Digest) -> Result<ReadEntry, RemoteCacheError> {
        let manifest: Manifest = parse_blob(&self.directory, digest, DOCUMENT_LIMIT)?;
        let config = match embedded_config(&manifest) {
            Some(config) => config,
            None => read_blob(&self.directory, manifest.config.digest, CONFIG_LIMIT)?,
        };
        read_entry(&manifest, &config).map_err(RemoteCacheError::entry(digest))
    }
}

/// Reads the entries of the index that is one state of a cache.
fn read_entries(
    directory: &Path,
    digest: Digest,
    name: impl Fn() -> String,
) -> Result<Vec<Descriptor>, RemoteCacheError> {
    let document: Value = parse_blob(directory, digest, DOCUMENT_LIMIT)?;
    let foreign = |what| RemoteCacheError::Foreign { name: name(), what };
    if document["artifactType"] != ARTIFACT_TYPE || document["manifests"].is_null() {
        let is_buildkit = document.to_string().contains("vnd.buildkit.cacheconfig");
        return Err(foreign(if is_buildkit { Foreign::BuildKit } else { Foreign::Other }));
    }
    let index: Index = serde_json::from_value(document).map_err(|_| foreign(Foreign::Other))?;
    Ok(index.manifests)
}

/// Returns the keys of an entry.
pub(super) fn keys(entry: &Descriptor) -> Vec<CacheKey> {
    let keys = entry.annotations.get(KEYS).map(String::as_str).unwrap_or_default();
    keys.split(',').filter_map(CacheKey::from_hex).collect()
}

fn blob_path(directory: &Path, digest: Digest) -> PathBuf {
    directory.join("blobs/sha256").join(digest.hex())
}

/// Reads what names everything in the directory; `None` if it is not there yet. One that cannot be read is an error: it may
/// name what others have written, and who took it for nothing would write an index without that.
fn read_index(directory: &Path) -> Result<Option<Index>, RemoteCacheError> {
    let path = directory.join("index.json");
    let bytes = match read(&path, DOCUMENT_LIMIT) {
        Err(RemoteCacheError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    let index = serde_json::from_slice(&bytes);
    index
        .map(Some)
        .map_err(|source| RemoteCacheError::Malformed { path, source })
}

fn parse_blob<T: DeserializeOwned>(directory: &Path, digest: Digest, limit: u64) -> Result<T, RemoteCacheError> {
    let path = || blob_path(directory, digest);
    serde_json::from_slice(&read_blob(directory, digest, limit)?)
        .map_err(|source| RemoteCacheError::Malformed { path: path(), source })
}

fn read_blob(directory: &Path, digest: Digest, limit: u64) -> Result<Vec<u8>, RemoteCacheError> {
    let bytes = read(&blob_path(directory, digest), limit)?;
    match Digest::of(&bytes) == digest {
        true => Ok(bytes),
        false => Err(RemoteCacheError::Damaged(digest)),
    }
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, RemoteCacheError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(RemoteCacheError::io("open", path))?;
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(RemoteCacheError::io("read", path))?;
    Ok(bytes)
}
