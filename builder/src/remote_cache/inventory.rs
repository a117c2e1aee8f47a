//! What a cache holds, and removing it: `croze cache ls` and `croze cache prune`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use registry::client::Client;
use registry::oci::{Digest, Reference};

use super::directory::{self, DirectoryCache};
use super::document::ReadEntry;
use super::registry::{Opened, RegistryCache};
use super::{CacheFrom, Foreign, RemoteCacheError, Which};

/// Entries that are looked at in a registry at the same time.
const PARALLEL: usize = 16;

/// A cache that is looked through.
pub struct Inventory {
    place: Place,
    entries: Vec<Listed>,
}

enum Place {
    Registry(RegistryCache),
    Directory { directory: PathBuf, tag: Option<String> },
}

/// An entry of a cache.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// The digest of its manifest.
    pub digest: Digest,
    /// How many keys it is found by.
    pub keys: usize,
    /// What it says; `None` if it is damaged.
    pub content: Option<Content>,
}

/// What an entry says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// The step's name.
    pub name: String,
    /// When its value was made.
    pub created: Timestamp,
    /// Its layers and their sizes in bytes; several entries may share one.
    pub layers: BTreeMap<Digest, u64>,
}

impl Inventory {
    /// Looks through a cache.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub async fn take(of: &CacheFrom, client: &Client) -> Result<Self, RemoteCacheError> {
        match of {
            CacheFrom::Registry { reference, .. } => {
                let cache = RegistryCache::new(client.clone(), reference.clone());
                if let Opened::Inline(_) = cache.open().await? {
                    return Err(RemoteCacheError::Foreign {
                        name: reference.familiar(),
                        what: Foreign::Image,
                    });
                }
                let entries = in_registry(&cache).await?;
                let place = Place::Registry(cache);
                Ok(Self { place, entries })
            }
            CacheFrom::Directory { directory, which } => {
                let cache = DirectoryCache::open(directory, which)?;
                let entries = in_directory(&cache)?;
                let tag = match which {
                    Which::Tag(tag) => Some(tag.clone()),
                    Which::Digest(_) => None,
                };
                let directory = directory.clone();
                let place = Place::Directory { directory, tag };
                Ok(Self { place, entries })
            }
            CacheFrom::Objects(place) => Err(RemoteCacheError::Unlisted(place.to_string())),
        }
    }

    /// Returns the entries, the oldest first; damaged ones before all others.
    pub fn entries(&self) -> impl Iterator<Item = &Listed> {
        let mut entries: Vec<&Listed> = self.entries.iter().collect();
        entries.sort_by_key(|entry| {
            entry
                .content
                .as_ref()
                .map(|content| (content.created, content.name.clone()))
        });
        entries.into_iter()
    }

    /// Keeps only what would be removed: damaged entries, and those that were made `before`; all if `None`.
    pub fn retain_removable(&mut self, before: Option<Timestamp>) {
        let Some(before) = before else { return };
        self.entries
            .retain(|entry| entry.content.as_ref().is_none_or(|content| content.created < before));
    }

    /// Removes the entries, and the cache itself if it has no others.
    ///
    /// # Errors
    /// If the registry or the file system refuses.
    pub async fn remove(&self) -> Result<(), RemoteCacheError> {
        let gone: BTreeSet<Digest> = self.entries.iter().map(|entry| entry.digest).collect();
        match &self.place {
            Place::Directory {
                directory,
                tag: Some(tag),
            } => directory::remove(directory, tag, |digest| gone.contains(&digest)),
            Place::Directory { directory, tag: None } => Err(RemoteCacheError::Untagged(directory.clone())),
            Place::Registry(cache) => {
                let (client, reference) = (cache.client(), cache.reference());
                stream::iter(gone)
                    .map(async |digest| {
                        client.delete_manifest(reference, digest).await?;
                        Ok::<_, RemoteCacheError>(())
                    })
                    .buffer_unordered(PARALLEL)
                    .try_collect::<()>()
                    .await?;
                if tags(cache).await?.is_empty()
                    && let Some(marker) = client.head(reference).await?
                {
                    client.delete_manifest(reference, marker.digest).await?;
                }
                Ok(())
            }
        }
    }
}

/// Returns the tags of a cache's entries.
async fn tags(cache: &RegistryCache) -> Result<Vec<Reference>, RemoteCacheError> {
    let prefix = cache.tag_prefix();
    let is_hex = |hex: &str| hex.len() == 64 && hex.bytes().all(|c| c.is_ascii_hexdigit());
    let tags = cache.client().tags(cache.reference()).await?;
    let tags = tags.iter().filter(|tag| tag.strip_prefix(&prefix).is_some_and(is_hex));
    Ok(tags.filter_map(|tag| cache.reference().with_tag(tag).ok()).collect())
}

async fn in_registry(cache: &RegistryCache) -> Result<Vec<Listed>, RemoteCacheError> {
    let found = stream::iter(tags(cache).await?)
        .map(async |tag| {
            let read = match cache.read(&tag).await {
                Ok(read) => read.map(|(descriptor, read)| (descriptor.digest, content(read))),
                Err(error) if error.is_of_one_entry() => {
                    cache.client().head(&tag).await?.map(|found| (found.digest, None))
                }
                Err(error) => return Err(error),
            };
            Ok::<_, RemoteCacheError>(read)
        })
        .buffer_unordered(PARALLEL)
        .try_collect::<Vec<_>>()
        .await?;
    let mut entries: BTreeMap<Digest, Listed> = BTreeMap::new();
    // What was removed meanwhile is none of them.
    for (digest, content) in found.into_iter().flatten() {
        let listed = entries.entry(digest).or_insert(Listed {
            digest,
            keys: 0,
            content,
        });
        listed.keys += 1;
    }
    Ok(entries.into_values().collect())
}

fn in_directory(cache: &DirectoryCache) -> Result<Vec<Listed>, RemoteCacheError> {
    let listed = cache.entries().iter().map(|entry| {
        let read = match cache.read(entry.digest) {
            // It is not damaged, and must not be removed for that.
            Err(error) if error.is_unread() => return Err(error),
            read => read.ok(),
        };
        Ok(Listed {
            digest: entry.digest,
            keys: directory::keys(entry).len(),
            content: read.and_then(content),
        })
    });
    listed.collect()
}

fn content(read: ReadEntry) -> Option<Content> {
    let layers = read
        .blobs
        .into_iter()
        .map(|blob| (blob.descriptor.digest, blob.descriptor.size));
    Some(Content {
        name: read.entry.name,
        created: read.entry.created.parse().ok()?,
        layers: layers.collect(),
    })
}
