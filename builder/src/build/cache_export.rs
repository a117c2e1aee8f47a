//! The end of a build for the next one elsewhere: what its steps gave goes to the caches that `--cache-to` names.

mod mounts;
mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::try_join_all;
use registry::oci::{Descriptor, Digest};

use super::layers::{LayerTasks, ShipError};
use super::records::BuiltRecord;
use super::shown::Shown;
use super::variant::Variant;
use super::{BuildError, BuildRequest, Services};
use crate::diagnostic::Diagnostic;
use crate::image::{ImportedLayer, LayerBlob, LayerFormat};
use crate::ops::{MountPackError, Ops, StepLayer};
use crate::progress::{Progress, StepId, Stream};
use crate::remote_cache::{CacheTo, EntryImage, EntryLayer, ExportOptions, Mode, RemoteCacheError, Written};
use crate::solver::Problem;

/// What an export works with.
pub(super) struct CacheExports<'a> {
    pub(super) request: &'a BuildRequest,
    pub(super) services: &'a Services,
    pub(super) progress: &'a Progress,
    pub(super) variants: &'a [Variant],
    pub(super) tasks: &'a LayerTasks,
    /// What was built.
    pub(super) problem: &'a Problem<Ops>,
}

/// Returns the format of layers in a cache: that of the image, so that both share their blobs.
pub(super) fn format(options: &ExportOptions, request: &BuildRequest, variants: &[Variant]) -> LayerFormat {
    let of_image = variants.first().map(|variant| variant.format.compression);
    LayerFormat {
        compression: options.compression.or(of_image).unwrap_or(request.compression),
        clamp_mtime: None,
    }
}

/// Entries that are ready to be written, and what their layers can be made of.
struct Packed {
    entries: Vec<Written>,
    layers: BTreeMap<Digest, StepLayer>,
    /// The format of those that were packed here.
    format: LayerFormat,
}

impl Packed {
    /// Returns the layer that a blob is of, if another machine made it.
    fn imported(&self, blob: &Descriptor) -> Option<&ImportedLayer> {
        let imported = self.layers.get(&blob.digest)?.imported.as_ref()?;
        (imported.blob.descriptor.digest == blob.digest).then_some(imported)
    }
}

/// Why a cache could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum CacheExportError {
    /// The cache cannot be written.
    #[error(transparent)]
    Cache(#[from] RemoteCacheError),
    /// A layer cannot be packed.
    #[error(transparent)]
    Pack(#[from] Arc<ShipError>),
    /// A layer cannot be pushed, or brought here.
    #[error(transparent)]
    Push(#[from] ShipError),
    /// A cache mount cannot be packed.
    #[error(transparent)]
    Mount(#[from] MountPackError),
    /// An entry could not be written as JSON.
    #[error("cannot write an entry as JSON")]
    Json(#[from] serde_json::Error),
}

impl CacheExportError {
    /// Returns the blob of a layer that turned out to be another one when it was packed again.
    fn repacked(&self) -> Option<Digest> {
        match self {
            Self::Pack(error) => error.repacked(),
            Self::Push(error) => error.repacked(),
            _ => None,
        }
    }
}

impl CacheExports<'_> {
    /// Exports to all caches, each as a displayed step.
    pub(super) async fn run(&self, records: &[BuiltRecord]) -> Result<(), BuildError> {
        for to in &self.request.cache_to {
            let Some(options) = to.options() else { continue };
            let (name, place) = match to {
                CacheTo::Registry { reference, .. } => ("exporting cache to registry", reference.familiar()),
                CacheTo::Directory { directory, tag, .. } => (
                    "exporting cache to client directory",
                    format!("{}:{tag}", directory.display()),
                ),
                CacheTo::Objects { place, .. } => ("exporting cache to object store", place.to_string()),
                CacheTo::Inline => continue,
            };
            let shown = Shown::begin(self.progress, name, Digest::of(place.as_bytes()));
            let outcome = self.export_again(to, options, records, shown.step()).await;
            shown.end(&outcome);
            let Err(error) = outcome else { continue };
            if options.must_succeed {
                let source = Box::new(error);
                return Err(BuildError::CacheExport { place, source });
            }
            let what = format!("the cache could not be exported to `{place}`");
            self.progress.warn(Diagnostic::consequence(&what, &error));
        }
        Ok(())
    }

    /// Exports; where a layer turns out to be another blob now, once more with that.
    async fn export_again(
        &self,
        to: &CacheTo,
        options: &ExportOptions,
        records: &[BuiltRecord],
        step: StepId,
    ) -> Result<(), CacheExportError> {
        let mut repacked = BTreeSet::new();
        loop {
            let outcome = self.export(to, options, records, step).await;
            match outcome.as_ref().err().and_then(CacheExportError::repacked) {
                Some(blob) if repacked.insert(blob) => self.tasks.forget(blob),
                _ => return outcome,
            }
        }
    }

    async fn export(
        &self,
        to: &CacheTo,
        options: &ExportOptions,
        records: &[BuiltRecord],
        step: StepId,
    ) -> Result<(), CacheExportError> {
        let packed = self.pack(to, options, records).await?;
        if packed.entries.is_empty() {
            self.say(step, "skipping cache export for empty result");
        } else {
            let total = packed.entries.len();
            let resets = matches!(to, CacheTo::Directory { reset: true, .. });
            let written = self.write(to, packed, resets, step).await?;
            self.say(step, &format!("{total} entries, {written} of them written"));
        }
        self.export_mounts(to, options, step).await;
        Ok(())
    }

    /// Makes the entries that `options` ask for, and packs their layers.
    async fn pack<'r>(
        &self,
        to: &CacheTo,
        options: &ExportOptions,
        records: &'r [BuiltRecord],
    ) -> Result<Packed, CacheExportError> {
        let cache = to.tag();
        let format = format(options, self.request, self.variants);
        let mut packed = Packed {
            entries: Vec::new(),
            layers: BTreeMap::new(),
            format,
        };
        let wanted = |record: &'r BuiltRecord| {
            let is_wanted = options.mode == Mode::Max || record.is_in_result;
            record
                .files
                .as_ref()
                .filter(|files| is_wanted && !files.layers.is_empty())
        };
        let layers = records.iter().filter_map(wanted).flat_map(|files| files.layers.iter());
        for layer in layers.filter(|layer| layer.imported.is_none()) {
            self.tasks.begin_packing(layer, format);
        }
        for record in records {
            let image = match wanted(record) {
                Some(files) => {
                    let layers = files.layers.iter();
                    let layers = try_join_all(layers.map(|layer| self.layer(layer, format, options))).await?;
                    let blobs = layers.iter().map(|(blob, _)| blob.descriptor.digest);
                    packed.layers.extend(blobs.zip(files.layers.iter().cloned()));
                    let positions = files.layers.iter().zip(&layers).enumerate();
                    let positions = positions.map(|(position, (layer, (_, format)))| EntryLayer {
                        position,
                        created: layer.created.clone(),
                        format: format.clone(),
                    });
                    let entry = record.entry(record.keys(), Some(positions.collect()));
                    let blobs: Vec<LayerBlob> = layers.into_iter().map(|(blob, _)| blob).collect();
                    EntryImage::new(cache, entry, &blobs)?
                }
                // Without its content, but what lies above is found only by those who know the key.
                None if record.is_renamed() => EntryImage::new(cache, record.entry(record.keys(), None), &[])?,
                None => continue,
            };
            packed.entries.push(Written {
                image,
                keys: record.keys().to_vec(),
                replaces: record.is_new,
            });
        }
        Ok(packed)
    }

    /// Returns the blob of a layer and its format; a layer that came from a cache stays as it is, unless forced.
    async fn layer(
        &self,
        layer: &StepLayer,
        format: LayerFormat,
        options: &ExportOptions,
    ) -> Result<(LayerBlob, String), CacheExportError> {
        let imported = layer.imported.as_ref().filter(|_| !options.force_compression);
        match imported.filter(|layer| self.tasks.shipper().imports.is_at_hand(layer)) {
            Some(imported) => Ok((imported.blob.clone(), imported.format.clone())),
            None => {
                let blob = self.tasks.finish(layer, format).await;
                Ok((blob?, format.label()))
            }
        }
    }

    fn say(&self, step: StepId, text: &str) {
        self.progress.log(step, Stream::Stdout, format!("{text}\n").into());
    }
}
