//! Writing entries to each kind of cache: layers first, then the entries that name them.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use registry::client::BlobSource;
use registry::oci::{Descriptor, Digest, Reference};

use super::{CacheExportError, CacheExports, Packed};
use crate::build::layers::{MadeOf, ShipError};
use crate::image::ImportedLayer;
use crate::op::key::CacheKey;
use crate::progress::StepId;
use crate::remote_cache::{
    self, CacheTo, EntryImage, ObjectCache, ObjectPlace, RegistryCache, RemoteCacheError, Written,
};

/// Entries that are written at the same time.
const PARALLEL_ENTRIES: usize = 8;
/// Layers that are written at the same time.
const PARALLEL_LAYERS: usize = 4;

impl CacheExports<'_> {
    /// Writes entries where they go; returns how many were not there. With `resets` there are no others afterwards.
    pub(super) async fn write(
        &self,
        to: &CacheTo,
        packed: Packed,
        resets: bool,
        step: StepId,
    ) -> Result<usize, CacheExportError> {
        match to {
            CacheTo::Registry { reference, .. } => self.to_registry(reference, packed, step).await,
            CacheTo::Directory { directory, tag, .. } => self.to_directory(directory, tag, resets, packed, step).await,
            CacheTo::Objects { place, .. } => self.to_objects(place, packed, step).await,
            CacheTo::Inline => Ok(0),
        }
    }

    /// Writes entries to a store of objects; returns how many were not there.
    async fn to_objects(&self, to: &ObjectPlace, packed: Packed, step: StepId) -> Result<usize, CacheExportError> {
        let store = to.open(&self.services.client).map_err(RemoteCacheError::from)?;
        let cache = ObjectCache::new(store);
        let put = async |layer: &Descriptor| self.put(&cache, layer, packed.imported(layer), step).await;
        write_lacking(&cache, &packed.entries, put).await
    }

    /// Puts a layer into a store of objects; one of another machine is brought here only if it is not there.
    async fn put(
        &self,
        cache: &ObjectCache,
        layer: &Descriptor,
        imported: Option<&ImportedLayer>,
        step: StepId,
    ) -> Result<(), CacheExportError> {
        let store = cache.store();
        if store.has_blob(layer.digest).await.map_err(RemoteCacheError::from)? {
            return Ok(());
        }
        if let Some(imported) = imported {
            let imports = &self.tasks.shipper().imports;
            let brought = imports.ensure_blob(imported, Some(step)).await;
            brought.map_err(ShipError::from)?;
        }
        let name = format!("writing layer {}", layer.digest);
        let report = |sent| {
            self.progress
                .transfer(step, name.as_str(), sent, Some(layer.size), sent == layer.size);
        };
        let source = BlobSource::File(self.services.content.blob_path(layer.digest));
        let put = store.put_blob(layer, source, &report).await;
        put.map_err(RemoteCacheError::from)?;
        Ok(())
    }

    /// Writes entries to a registry; returns how many were not there.
    async fn to_registry(&self, to: &Reference, packed: Packed, step: StepId) -> Result<usize, CacheExportError> {
        let cache = RegistryCache::new(self.services.client.clone(), to.clone());
        cache.create().await?;
        let pushed = self.variants.iter().filter(|variant| variant.is_pushed());
        let images: Vec<Reference> = pushed.flat_map(|variant| variant.names.iter().cloned()).collect();
        let push = async |layer: &Descriptor| self.push(to, layer, &packed, &images, step).await;
        write_lacking(&cache, &packed.entries, push).await
    }

    async fn push(
        &self,
        to: &Reference,
        layer: &Descriptor,
        packed: &Packed,
        images: &[Reference],
        step: StepId,
    ) -> Result<(), CacheExportError> {
        let name = format!("writing layer {}", layer.digest);
        let report = |sent| {
            self.progress
                .transfer(step, name.as_str(), sent, Some(layer.size), sent == layer.size);
        };
        let of = packed.layers.get(&layer.digest).map(|of| MadeOf(of, packed.format));
        Ok(self.tasks.shipper().push(to, layer, of, images, &report).await?)
    }

    /// Writes entries to a directory; returns how many were not there.
    async fn to_directory(
        &self,
        directory: &Path,
        tag: &str,
        reset: bool,
        packed: Packed,
        step: StepId,
    ) -> Result<usize, CacheExportError> {
        let (place, name, entries) = (directory.to_owned(), tag.to_owned(), packed.entries.clone());
        let lacking = blocking(move || {
            Ok(if reset {
                entries
            } else {
                remote_cache::lacking(&place, &name, entries)
            })
        })
        .await?;
        let layers = lacking.iter().flat_map(|entry| &entry.image.layers);
        for layer in layers.filter(|layer| !remote_cache::blob_is_there(directory, layer)) {
            if let Some(imported) = packed.imported(layer) {
                let imports = &self.tasks.shipper().imports;
                imports
                    .ensure_blob(imported, Some(step))
                    .await
                    .map_err(ShipError::from)?;
            }
        }
        let (place, name, content) = (directory.to_owned(), tag.to_owned(), self.services.content.clone());
        blocking(move || {
            remote_cache::add(&place, &name, reset, &lacking, &content)?;
            Ok(lacking.len())
        })
        .await
    }
}

/// A cache on the network, to which entries are written one by one.
trait Entries {
    /// Returns whether there is an entry under each key.
    async fn has(&self, keys: &[CacheKey]) -> Result<bool, RemoteCacheError>;

    /// Puts an entry, whose layers are there, under its keys.
    async fn publish(&self, image: &EntryImage, keys: &[CacheKey]) -> Result<(), RemoteCacheError>;
}

impl Entries for RegistryCache {
    async fn has(&self, keys: &[CacheKey]) -> Result<bool, RemoteCacheError> {
        self.has(keys).await
    }

    async fn publish(&self, image: &EntryImage, keys: &[CacheKey]) -> Result<(), RemoteCacheError> {
        self.publish(image, keys).await
    }
}

impl Entries for ObjectCache {
    async fn has(&self, keys: &[CacheKey]) -> Result<bool, RemoteCacheError> {
        self.has(keys).await
    }

    async fn publish(&self, image: &EntryImage, keys: &[CacheKey]) -> Result<(), RemoteCacheError> {
        self.publish(image, keys).await
    }
}

/// Writes those entries that a cache lacks, after their layers, which `put` brings there; returns how many they were.
async fn write_lacking(
    cache: &impl Entries,
    entries: &[Written],
    put: impl AsyncFn(&Descriptor) -> Result<(), CacheExportError>,
) -> Result<usize, CacheExportError> {
    let lacking = stream::iter(entries)
        .map(async |entry| {
            let is_there = !entry.replaces && cache.has(&entry.keys).await?;
            Ok::<_, CacheExportError>((!is_there).then_some(entry))
        })
        .buffered(PARALLEL_ENTRIES)
        .try_collect::<Vec<_>>()
        .await?;
    let lacking: Vec<&Written> = lacking.into_iter().flatten().collect();
    stream::iter(distinct_layers(&lacking).into_values())
        .map(async |layer| put(layer).await)
        .buffer_unordered(PARALLEL_LAYERS)
        .try_collect::<()>()
        .await?;
    stream::iter(&lacking)
        .map(async |entry| Ok::<_, CacheExportError>(cache.publish(&entry.image, &entry.keys).await?))
        .buffer_unordered(PARALLEL_ENTRIES)
        .try_collect::<()>()
        .await?;
    Ok(lacking.len())
}

/// Returns the layers of entries, each once.
fn distinct_layers<'a>(entries: &[&'a Written]) -> BTreeMap<Digest, &'a Descriptor> {
    let layers = entries.iter().flat_map(|entry| &entry.image.layers);
    layers.map(|layer| (layer.digest, layer)).collect()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RemoteCacheError> + Send + 'static,
) -> Result<T, CacheExportError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|_| RemoteCacheError::Lost)??)
}
