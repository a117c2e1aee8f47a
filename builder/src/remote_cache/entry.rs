//! Entries: what a cache keeps of one step.
//!
//! There is one form for all kinds of caches. An entry is written into an image's config, under `CONFIG_KEY`, and
//! speaks of the image's layers by their position; media type, digest and size of a layer are the manifest's to say,
//! its DiffID the config's. In an image with an inline cache that is the image itself; in a registry or a directory
//! each entry has a small image of its own.
//!
//! Nothing of it is believed as it stands. An entry must name the key that it was asked for by; layers are checked by
//! their digests when they are fetched and by their DiffIDs when they are unpacked.

use std::collections::BTreeSet;

use registry::oci::{ChainId, Descriptor, ImageConfig, MediaType};
use serde::{Deserialize, Serialize};

use crate::cache::{Aspects, Lineage, Record};
use crate::image::{ImportedLayer, LayerBlob, MediaTypes, Origin};
use crate::op::key::CacheKey;
use crate::ops::{StepLayer, Stored};

/// Where entries are in an image's config.
pub(super) const CONFIG_KEY: &str = "croze.cache.v1";

/// What stands for "no content" in a manifest (image-spec, manifest.md).
pub(super) const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// What a cache keeps of one step.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The step's name, for people.
    pub name: String,
    /// The keys that it is found by.
    pub keys: Vec<CacheKey>,
    /// The canonical key.
    pub key: CacheKey,
    /// When the value was made, RFC 3339.
    pub created: String,
    /// What it was made from.
    pub lineage: Lineage,
    /// The layers of the image that it starts from, which are not part of the cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<ChainId>,
    /// What steps added, lowest first; `None` if only the canonical key is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<EntryLayer>>,
}

/// A layer of an entry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EntryLayer {
    /// Its position among the layers of the manifest.
    pub position: usize,
    /// When its step ran, RFC 3339.
    pub created: String,
    /// In which format it was packed, as [`LayerFormat::label`](crate::image::LayerFormat::label) names it.
    pub format: String,
}

/// What stands under `CONFIG_KEY`.
#[derive(Serialize, Deserialize)]
struct Entries {
    records: Vec<Entry>,
}

/// Why an entry is not believed.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// It is not the JSON of an entry.
    #[error("it is not the JSON of a cache entry")]
    Json(#[from] serde_json::Error),
    /// There is none where one should be.
    #[error("it holds no cache entry")]
    None,
    /// Manifest and config disagree.
    #[error("its manifest has {layers} layers and its config {diff_ids}")]
    LayerCount {
        /// Layers in the manifest.
        layers: usize,
        /// DiffIDs in the config.
        diff_ids: usize,
    },
    /// A layer is of no type that images have.
    #[error("`{0}` is not the type of a layer")]
    MediaType(MediaType),
    /// It speaks of a layer that is not there.
    #[error("it has no layer {0}")]
    Position(usize),
    /// It is another entry than the one that was asked for.
    #[error("it is not the entry of the key `{0}`")]
    OtherKey(CacheKey),
    /// A time is none.
    #[error("`{0}` is no time")]
    Time(String),
    /// A DiffID makes no snapshot name; cannot happen as long as names allow hex digits.
    #[error("cannot name the snapshot of a layer")]
    Name(#[from] snapshotter::InvalidSnapshotName),
}

/// Writes entries into a config.
///
/// # Errors
/// Only if an entry cannot be written as JSON, which maps with string keys always can.
pub fn embed(entries: Vec<Entry>, config: &mut ImageConfig) -> Result<(), serde_json::Error> {
    let entries = serde_json::to_value(Entries { records: entries })?;
    config.extra.insert(CONFIG_KEY.to_owned(), entries);
    Ok(())
}

/// Returns the entries of a config.
pub(super) fn entries(config: &ImageConfig) -> Result<Vec<Entry>, EntryError> {
    let entries = config.extra.get(CONFIG_KEY).ok_or(EntryError::None)?;
    Ok(Entries::deserialize(entries)?.records)
}

/// Returns the layers of an image, of which entries speak by position.
pub(super) fn blobs(layers: &[Descriptor], config: &ImageConfig) -> Result<Vec<LayerBlob>, EntryError> {
    let diff_ids = &config.rootfs.diff_ids;
    let layers: Vec<&Descriptor> = layers.iter().filter(|layer| layer.media_type.0 != EMPTY).collect();
    if layers.len() != diff_ids.len() {
        return Err(EntryError::LayerCount {
            layers: layers.len(),
            diff_ids: diff_ids.len(),
        });
    }
    let blobs = layers.iter().zip(diff_ids).map(|(layer, &diff_id)| {
        if !MediaTypes::is_layer(&layer.media_type) {
            return Err(EntryError::MediaType(layer.media_type.clone()));
        }
        // Nothing but what the blob is enters an image that is made of it.
        let descriptor = MediaTypes::Oci.layer(&Descriptor::new(&layer.media_type.0, layer.digest, layer.size));
        Ok(LayerBlob { descriptor, diff_id })
    });
    blobs.collect()
}

impl Entry {
    /// Returns the record that the entry is for this machine; its layers are `blobs`, to be had from `origin`.
    pub(super) fn record(&self, blobs: &[LayerBlob], origin: &Origin) -> Result<Record, EntryError> {
        check_time(&self.created)?;
        let payload = match &self.layers {
            None => serde_json::Value::Null,
            Some(layers) => {
                let layers = layers.iter().map(|layer| layer.imported(blobs, origin));
                serde_json::to_value(Stored {
                    base: self.base,
                    layers: layers.collect::<Result<_, _>>()?,
                })?
            }
        };
        Ok(Record {
            key: self.key,
            payload,
            created: self.created.clone(),
            lineage: self.lineage.clone(),
            aspects: Aspects::default(),
            relies_on: BTreeSet::new(),
        })
    }
}

impl EntryLayer {
    fn imported(&self, blobs: &[LayerBlob], origin: &Origin) -> Result<StepLayer, EntryError> {
        check_time(&self.created)?;
        let blob = blobs.get(self.position).ok_or(EntryError::Position(self.position))?;
        let imported = ImportedLayer {
            blob: blob.clone(),
            format: self.format.clone(),
            origin: origin.clone(),
        };
        Ok(StepLayer {
            snapshot: imported.snapshot()?,
            created: self.created.clone(),
            imported: Some(imported),
        })
    }
}

/// Times end up in the image's config and history.
fn check_time(text: &str) -> Result<(), EntryError> {
    match text.parse::<jiff::Timestamp>() {
        Ok(_) => Ok(()),
        Err(_) => Err(EntryError::Time(text.to_owned())),
    }
}
