//! Exporting cache mounts: each as an entry of one layer, unless the cache has it as it is.
//!
//! A mount that cannot be exported is warned of, and fails neither the export nor the build: it is a cache of a cache.

use std::collections::BTreeMap;

use registry::oci::DiffId;

use super::{CacheExportError, CacheExports, Packed, format};
use crate::diagnostic::Diagnostic;
use crate::image::LayerBlob;
use crate::op::key::CacheKey;
use crate::ops::{PackedMount, Stored, mount_key};
use crate::progress::{Bytes, StepId};
use crate::remote_cache::{
    CacheTo, DirectoryCache, EntryImage, ExportOptions, ObjectCache, RegistryCache, RemoteCacheError, Which, Written,
    entry_of_mount,
};

impl CacheExports<'_> {
    /// Exports the cache mounts that are asked for, and tells of each.
    pub(super) async fn export_mounts(&self, to: &CacheTo, options: &ExportOptions, step: StepId) {
        if options.mounts.is_empty() {
            return;
        }
        let graph = &self.problem.graph;
        let needed = graph.ancestors(&self.problem.targets);
        let ops = needed.iter().map(|id| &graph.vertex(*id).op);
        let known = self.problem.evaluator.known_mounts(ops);
        for id in options.mounts.named() {
            if !known.values().any(|known| known == id) {
                self.say(step, &format!("cache mount `{id}`: no step uses it"));
            }
        }
        for (name, id) in known.iter().filter(|(_, id)| options.mounts.has(id)) {
            match self.export_mount(to, options, name, id, step).await {
                Ok(outcome) => self.say(step, &format!("cache mount `{id}`: {outcome}")),
                Err(error) => {
                    let what = format!("cache mount `{id}` could not be exported");
                    self.progress.warn(Diagnostic::consequence(&what, &error));
                }
            }
        }
    }

    /// Exports one; returns what came of it.
    async fn export_mount(
        &self,
        to: &CacheTo,
        options: &ExportOptions,
        name: &str,
        id: &str,
        step: StepId,
    ) -> Result<String, CacheExportError> {
        let format = format(options, self.request, self.variants);
        let packing = {
            let (ops, packer) = (self.problem.evaluator.clone(), self.tasks.shipper().packer.clone());
            let (name, max_size) = (name.to_owned(), options.mounts.max_size());
            tokio::task::spawn_blocking(move || ops.pack_mount(&name, max_size, &packer, format))
        };
        let blob = match packing.await.map_err(|_| RemoteCacheError::Lost)?? {
            PackedMount::Packed(blob) => *blob,
            PackedMount::Absent => return Ok("not on this machine".to_owned()),
            PackedMount::InUse => return Ok("left here, another build uses it".to_owned()),
            PackedMount::TooLarge(size) => {
                let most = Bytes(options.mounts.max_size());
                return Ok(format!("left here, its {} are more than {most}", Bytes(size)));
            }
        };
        let size = Bytes(blob.descriptor.size);
        let key = mount_key(name);
        if self.content_of(to, key).await == Some(blob.diff_id) {
            return Ok(format!("{size}, unchanged"));
        }
        let packed = Packed {
            entries: vec![written(to, id, key, format.label(), blob)?],
            layers: BTreeMap::new(),
            format,
        };
        self.write(to, packed, false, step).await?;
        Ok(format!("{size} written"))
    }

    /// Returns what a cache has for a mount; what cannot be read is nothing.
    async fn content_of(&self, to: &CacheTo, key: CacheKey) -> Option<DiffId> {
        let client = &self.services.client;
        let record = match to {
            CacheTo::Registry { reference, .. } => {
                let cache = RegistryCache::new(client.clone(), reference.clone());
                cache.lookup(key).await.ok()??
            }
            CacheTo::Objects { place, .. } => ObjectCache::new(place.open(client).ok()?).lookup(key).await.ok()??,
            CacheTo::Directory { directory, tag, .. } => {
                let cache = DirectoryCache::open(directory, &Which::Tag(tag.clone())).ok()?;
                cache.lookup(key).ok()??
            }
            CacheTo::Inline => return None,
        };
        let stored: Stored = serde_json::from_value(record.payload).ok()?;
        Some(stored.layers.into_iter().next()?.imported?.blob.diff_id)
    }
}

/// Makes the entry of a mount. It takes the place of what is there: the content has changed.
fn written(
    to: &CacheTo,
    id: &str,
    key: CacheKey,
    format: String,
    blob: LayerBlob,
) -> Result<Written, serde_json::Error> {
    let image = EntryImage::new(to.tag(), entry_of_mount(id, key, format), &[blob])?;
    Ok(Written {
        image,
        keys: vec![key],
        replaces: true,
    })
}
