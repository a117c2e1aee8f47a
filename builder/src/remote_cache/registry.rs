//! A cache in a registry: one small manifest for each entry, under a tag made of the entry's key.
//!
//! ```text
//! example.com/app:cache              the marker: there is a cache of this name
//! example.com/app:cache-<64 hex>     one entry, under each of its keys
//! ```
//!
//! Nobody rewrites what others have written, so any number of jobs may add to one cache at the same time. A look-up is
//! one request; that there is no cache at all costs one request for all keys together.

use futures_util::future::try_join_all;
use registry::client::{BlobSource, Client, ClientError, ErrorKind};
use registry::oci::{Descriptor, ImageConfig, Index, Manifest, Reference};

use super::document::{CONFIG_LIMIT, EMPTY_BYTES, EntryImage, ReadEntry, embedded_config, is_ours, marker, read_entry};
use super::entry::{EMPTY, EntryError, blobs, entries};
use super::{Foreign, InlineRecords, RemoteCacheError};
use crate::cache::Record;
use crate::export;
use crate::image::Origin;
use crate::op::key::CacheKey;

/// The config of BuildKit's caches.
const BUILDKIT_CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";

/// How many manifests of an index are looked into.
const MOST_PLATFORMS: usize = 32;

/// The longest config of an image, in bytes.
const IMAGE_CONFIG_LIMIT: u64 = 8 << 20;

/// A cache in a registry.
#[derive(Clone, Debug)]
pub struct RegistryCache {
    client: Client,
    reference: Reference,
}

/// What there is under the name of a cache.
#[derive(Debug)]
pub enum Opened {
    /// A cache: entries are to be asked for.
    Entries,
    /// An image with an inline cache: these are its records.
    Inline(InlineRecords),
}

impl RegistryCache {
    /// Names a cache; nothing is asked.
    pub fn new(client: Client, reference: Reference) -> Self {
        Self { client, reference }
    }

    /// Returns the cache's name.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Returns where layers of the cache can be had.
    pub fn origin(&self) -> Origin {
        Origin::Registry(self.reference.clone())
    }

    /// Finds out what there is under the name.
    ///
    /// # Errors
    /// If there is nothing, or something else, or the registry cannot be asked.
    pub async fn open(&self) -> Result<Opened, RemoteCacheError> {
        let (descriptor, bytes) = match self.client.manifest(&self.reference).await {
            Err(ClientError::NotFound { .. }) => return Err(RemoteCacheError::Absent(self.reference.familiar())),
            found => found?,
        };
        if descriptor.media_type.is_index() {
            let index: Index = serde_json::from_slice(&bytes)?;
            if index
                .manifests
                .iter()
                .any(|entry| entry.media_type.0 == BUILDKIT_CONFIG)
            {
                return Err(self.foreign(Foreign::BuildKit));
            }
            // Attestations are for no platform.
            let images = index.manifests.iter().filter(|entry| {
                entry.media_type.is_manifest()
                    && entry.platform.as_ref().is_none_or(|platform| platform.os != "unknown")
            });
            let images = images.take(MOST_PLATFORMS).map(async |image| {
                let (_, bytes) = self.client.manifest(&self.reference.untagged(image.digest)).await?;
                self.inline(&serde_json::from_slice(&bytes)?).await
            });
            let records = try_join_all(images).await?;
            let records: InlineRecords = records.into_iter().flatten().flatten().collect();
            return if records.is_empty() {
                Err(self.foreign(Foreign::ImageWithoutCache))
            } else {
                Ok(Opened::Inline(records))
            };
        }
        let manifest: Manifest = serde_json::from_slice(&bytes)?;
        match manifest.config.media_type.0.as_str() {
            _ if is_ours(&manifest) && self.reference.tag().is_some() => Ok(Opened::Entries),
            BUILDKIT_CONFIG => Err(self.foreign(Foreign::BuildKit)),
            _ => match self.inline(&manifest).await? {
                Some(records) => Ok(Opened::Inline(records)),
                None => Err(self.foreign(Foreign::ImageWithoutCache)),
            },
        }
    }

    /// Returns the records in the config of an image.
    async fn inline(&self, manifest: &Manifest) -> Result<Option<InlineRecords>, RemoteCacheError> {
        let config = self
            .client
            .blob(&self.reference, &manifest.config, IMAGE_CONFIG_LIMIT)
            .await?;
        let config: ImageConfig = serde_json::from_slice(&config)?;
        let damaged = || RemoteCacheError::entry(self.reference.familiar());
        let entries = match entries(&config) {
            Err(EntryError::None) => return Ok(None),
            entries => entries.map_err(damaged())?,
        };
        let blobs = blobs(&manifest.layers, &config).map_err(damaged())?;
        let origin = self.origin();
        let mut records = InlineRecords::new();
        for entry in entries {
            let record = entry.record(&blobs, &origin).map_err(damaged())?;
            records.extend(entry.keys.into_iter().map(|key| (key, record.clone())));
        }
        Ok(Some(records))
    }

    /// Returns the record under a key.
    ///
    /// # Errors
    /// If the registry cannot be asked, or what it has is not the entry of the key.
    pub async fn lookup(&self, key: CacheKey) -> Result<Option<Record>, RemoteCacheError> {
        let reference = self.tagged(key)?;
        let Some((_, ReadEntry { entry, blobs })) = self.read(&reference).await? else {
            return Ok(None);
        };
        let damaged = || RemoteCacheError::entry(key);
        if !entry.keys.contains(&key) {
            return Err(damaged()(EntryError::OtherKey(key)));
        }
        Ok(Some(entry.record(&blobs, &self.origin()).map_err(damaged())?))
    }

    /// Reads the entry under a tag; `None` if there is none.
    pub(super) async fn read(&self, tag: &Reference) -> Result<Option<(Descriptor, ReadEntry)>, RemoteCacheError> {
        let damaged = || RemoteCacheError::entry(tag.tag().unwrap_or_default());
        let (descriptor, bytes) = match self.client.manifest(tag).await {
            Err(ClientError::NotFound { .. }) => return Ok(None),
            found => found?,
        };
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| damaged()(error.into()))?;
        let config = match embedded_config(&manifest) {
            Some(config) => config,
            None => self.client.blob(tag, &manifest.config, CONFIG_LIMIT).await?.into(),
        };
        let read = read_entry(&manifest, &config).map_err(damaged())?;
        Ok(Some((descriptor, read)))
    }

    /// Puts the marker under the cache's name, unless it is there; a cache of BuildKit gives way to it.
    ///
    /// # Errors
    /// If there is an image under the name, or the registry refuses.
    pub async fn create(&self) -> Result<(), RemoteCacheError> {
        match self.open().await {
            Ok(Opened::Entries) => return Ok(()),
            Ok(Opened::Inline(_)) => return Err(self.foreign(Foreign::Image)),
            Err(RemoteCacheError::Foreign { what, .. }) if what != Foreign::BuildKit => {
                return Err(self.foreign(Foreign::Image));
            }
            Err(RemoteCacheError::Foreign { .. } | RemoteCacheError::Absent(_)) => {}
            // Registries answer so for a repository that will come into being with the first push.
            Err(RemoteCacheError::Client(error)) if error.kind() == ErrorKind::Auth => {}
            Err(error) => return Err(error),
        }
        self.push_bytes(&Descriptor::of(EMPTY, EMPTY_BYTES), EMPTY_BYTES)
            .await?;
        self.push_manifest(&self.reference, &marker(self.tag())?).await
    }

    /// Returns whether an entry is there under all of these keys.
    ///
    /// # Errors
    /// If the registry cannot be asked.
    pub async fn has(&self, keys: &[CacheKey]) -> Result<bool, RemoteCacheError> {
        let there = keys.iter().map(async |key| {
            let found = self.client.head(&self.tagged(*key)?).await?;
            Ok::<_, RemoteCacheError>(found.is_some())
        });
        Ok(try_join_all(there).await?.into_iter().all(|is_there| is_there))
    }

    /// Puts an entry under its keys; its layers must have been pushed into the repository.
    ///
    /// # Errors
    /// If the registry refuses.
    pub async fn publish(&self, image: &EntryImage, keys: &[CacheKey]) -> Result<(), RemoteCacheError> {
        if image.layers.is_empty() {
            self.push_bytes(&Descriptor::of(EMPTY, EMPTY_BYTES), EMPTY_BYTES)
                .await?;
        }
        self.push_bytes(&image.config.descriptor, &image.config.bytes).await?;
        let tags = keys
            .iter()
            .map(async |key| self.push_manifest(&self.tagged(*key)?, &image.manifest).await);
        try_join_all(tags).await.map(drop)
    }

    async fn push_bytes(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), RemoteCacheError> {
        let source = BlobSource::Bytes(bytes.to_vec().into());
        let pushed = self.client.push_blob(&self.reference, descriptor, source, &[], &|_| {});
        Ok(pushed.await.map(drop)?)
    }

    async fn push_manifest(&self, to: &Reference, manifest: &export::Document) -> Result<(), RemoteCacheError> {
        let media_type = &manifest.descriptor.media_type;
        match self
            .client
            .push_manifest(to, media_type, manifest.bytes.clone().into())
            .await
        {
            // A registry that never moves a tag keeps what it has.
            Ok(_) | Err(ClientError::TagImmutable(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the client that the cache is reached by.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the tag of an entry.
    fn tagged(&self, key: CacheKey) -> Result<Reference, RemoteCacheError> {
        let tag = format!("{}{}", self.tag_prefix(), key.hex());
        // Specs with longer tags are refused when they are read.
        self.reference.with_tag(&tag).map_err(|_| RemoteCacheError::Absent(tag))
    }

    /// Returns what the tags of all entries begin with.
    pub(super) fn tag_prefix(&self) -> String {
        format!("{}-", self.tag())
    }

    /// Returns the tag of the cache itself.
    fn tag(&self) -> &str {
        self.reference.tag().unwrap_or_default()
    }

    fn foreign(&self, what: Foreign) -> RemoteCacheError {
        RemoteCacheError::Foreign {
            name: self.reference.familiar(),
            what,
        }
    }
}
