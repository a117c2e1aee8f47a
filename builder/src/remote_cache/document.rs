//! The manifests of a cache: one small image for each entry, and the marker under the cache's own name.
//!
//! An entry is an image manifest as every registry takes it: its config is the config of an image, in which the entry
//! is written, and its layers are the step's, so that a registry keeps the blobs for as long as the entry. The config
//! is embedded in its descriptor too (`data`, image-spec, descriptor.md): a look-up is one request.
//!
//! Every manifest names its cache. Two caches in one repository never share a manifest then, which a registry deletes
//! under all of its tags at once.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use registry::oci::{Descriptor, Digest, ImageConfig, Manifest, MediaType, RootFs};
use serde_json::Value;

use super::entry::{EMPTY, Entry, EntryError, blobs, embed, entries};
use crate::export;
use crate::image::LayerBlob;

/// `artifactType` of every manifest of a cache.
pub(super) const ARTIFACT_TYPE: &str = "application/vnd.croze.cache.v1";

/// The bytes of what stands for "no content".
pub(super) const EMPTY_BYTES: &[u8] = b"{}";

/// The longest config that is embedded in its descriptor, in bytes.
const LONGEST_EMBEDDED: usize = 128 << 10;

/// The longest config of an entry, in bytes.
pub(super) const CONFIG_LIMIT: u64 = 1 << 20;

/// Where an image's manifest says what it is, if it is no image.
const TYPE_FIELD: &str = "artifactType";
/// The annotation that names the cache, by its tag.
const CACHE: &str = "croze.cache.name";
/// Where a descriptor brings what it describes.
const DATA_FIELD: &str = "data";

/// An entry as it is stored.
#[derive(Clone, Debug)]
pub struct EntryImage {
    /// The manifest.
    pub manifest: export::Document,
    /// The config.
    pub config: export::Document,
    /// The layers.
    pub layers: Vec<Descriptor>,
}

/// An entry as it was read, with its layers.
#[derive(Clone, Debug)]
pub(super) struct ReadEntry {
    /// The entry.
    pub(super) entry: Entry,
    /// What its positions stand for.
    pub(super) blobs: Vec<LayerBlob>,
}

impl EntryImage {
    /// Makes the image of an entry of `cache` whose layers are `layers`.
    ///
    /// # Errors
    /// Only if the entry cannot be written as JSON, which maps with string keys always can.
    pub fn new(cache: &str, entry: Entry, layers: &[LayerBlob]) -> Result<Self, serde_json::Error> {
        let mut config = ImageConfig {
            created: Some(entry.created.clone()),
            // Nobody can run it.
            architecture: "unknown".to_owned(),
            os: "unknown".to_owned(),
            rootfs: RootFs {
                diff_ids: layers.iter().map(|layer| layer.diff_id).collect(),
                ..RootFs::default()
            },
            ..ImageConfig::default()
        };
        embed(vec![entry], &mut config)?;
        let config = export::Document::new(MediaType::CONFIG, serde_json::to_vec(&config)?);
        let mut descriptor = config.descriptor.clone();
        if config.bytes.len() <= LONGEST_EMBEDDED {
            let data = BASE64.encode(&config.bytes);
            descriptor.extra.insert(DATA_FIELD.to_owned(), data.into());
        }
        let layers: Vec<Descriptor> = layers.iter().map(|layer| layer.descriptor.clone()).collect();
        Ok(Self {
            manifest: manifest(descriptor, &layers, annotations(cache))?,
            config,
            layers,
        })
    }
}

impl EntryImage {
    /// Returns whether the manifest brings the config.
    pub fn is_self_contained(&self) -> bool {
        self.config.bytes.len() <= LONGEST_EMBEDDED
    }
}

/// Makes the marker: what `cache` has under its own name.
pub(super) fn marker(cache: &str) -> Result<export::Document, serde_json::Error> {
    let description = "a build cache of croze; its entries are tagged with this tag and their keys";
    let mut annotations = annotations(cache);
    annotations.insert(
        "org.opencontainers.image.description".to_owned(),
        description.to_owned(),
    );
    manifest(Descriptor::of(EMPTY, EMPTY_BYTES), &[], annotations)
}

fn annotations(cache: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(CACHE.to_owned(), cache.to_owned())])
}

fn manifest(
    config: Descriptor,
    layers: &[Descriptor],
    annotations: BTreeMap<String, String>,
) -> Result<export::Document, serde_json::Error> {
    // Registries need not take a manifest without layers.
    let layers = match layers {
        [] => vec![Descriptor::of(EMPTY, EMPTY_BYTES)],
        layers => layers.to_vec(),
    };
    let mut manifest = Manifest {
        annotations,
        ..Manifest::new(config, layers)
    };
    manifest.extra.insert(TYPE_FIELD.to_owned(), ARTIFACT_TYPE.into());
    Ok(export::Document::new(
        MediaType::MANIFEST,
        serde_json::to_vec(&manifest)?,
    ))
}

/// Returns whether a manifest is one of a cache of ours.
pub(super) fn is_ours(manifest: &Manifest) -> bool {
    manifest.extra.get(TYPE_FIELD).and_then(Value::as_str) == Some(ARTIFACT_TYPE)
}

/// Returns the config that a manifest brings in its descriptor, if it is the one that is described.
pub(super) fn embedded_config(manifest: &Manifest) -> Option<Vec<u8>> {
    let data = manifest.config.extra.get(DATA_FIELD)?.as_str()?;
    let bytes = BASE64.decode(data).ok()?;
    (Digest::of(&bytes) == manifest.config.digest).then_some(bytes)
}

/// Reads the entry of a manifest from the config's bytes.
pub(super) fn read_entry(manifest: &Manifest, config: &[u8]) -> Result<ReadEntry, EntryError> {
    let config: ImageConfig = serde_json::from_slice(config)?;
    let entry = entries(&config)?.into_iter().next().ok_or(EntryError::None)?;
    Ok(ReadEntry {
        entry,
        blobs: blobs(&manifest.layers, &config)?,
    })
}

#[cfg(test)]
mod tests {
    use registry::oci::DiffId;
    use serde_json::json;

    use super::*;
    use crate::cache::Lineage;
    use crate::image::Origin;
    use crate::op::key::{CacheKey, KeyHasher};
    use crate::remote_cache::entry::EntryLayer;

    fn key(name: &str) -> CacheKey {
        KeyHasher::new(name).finish()
    }

    fn blob(text: &str) -> LayerBlob {
        LayerBlob {
            descriptor: Descriptor::of(MediaType::LAYER_GZIP, text.as_bytes()),
            diff_id: DiffId(Digest::of(text.as_bytes())),
        }
    }

    fn entry(layers: Option<usize>) -> Entry {
        let layer = |position| EntryLayer {
            position,
            created: "2026-01-02T03:04:05Z".to_owned(),
            format: "gzip-6".to_owned(),
        };
        Entry {
            name: "RUN make".to_owned(),
            keys: vec![key("definition"), key("content")],
            key: key("canonical"),
            created: "2026-01-02T03:04:05Z".to_owned(),
            lineage: Lineage {
                operation: Digest::of(b"make"),
                inputs: vec![],
            },
            base: None,
            layers: layers.map(|count| (0..count).map(layer).collect()),
        }
    }

    fn reread(image: &EntryImage) -> ReadEntry {
        let manifest: Manifest = serde_json::from_slice(&image.manifest.bytes).unwrap();
        assert!(is_ours(&manifest));
        assert_eq!(embedded_config(&manifest), Some(image.config.bytes.clone()));
        read_entry(&manifest, &image.config.bytes).unwrap()
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let layers = [blob("a"), blob("b")];
        let image = EntryImage::new("cache", entry(Some(2)), &layers).unwrap();
        let read = reread(&image);
        assert_eq!((&read.entry, read.blobs.as_slice()), (&entry(Some(2)), &layers[..]));
        let origin = Origin::Directory("/cache".into());
        let record = read.entry.record(&read.blobs, &origin).unwrap();
        assert_eq!(record.key, key("canonical"));
        let expected = format!("diff-{}", Digest::of(b"b").hex());
        assert_eq!(record.payload["layers"][1]["snapshot"], json!(expected));
    }

    #[test]
    fn an_entry_of_a_key_alone_has_a_manifest_that_registries_take_and_no_value() {
        let image = EntryImage::new("cache", entry(None), &[]).unwrap();
        let manifest: Manifest = serde_json::from_slice(&image.manifest.bytes).unwrap();
        assert_eq!(manifest.layers.len(), 1);
        let read = reread(&image);
        let record = read.entry.record(&read.blobs, &Origin::Directory("/".into())).unwrap();
        assert_eq!(record.payload, Value::Null);
    }

    #[test]
    fn the_bytes_of_an_entry_are_always_the_same() {
        let make = || EntryImage::new("cache", entry(Some(1)), &[blob("a")]).unwrap().manifest;
        assert_eq!(make(), make());
        assert_eq!(marker("cache").unwrap(), marker("cache").unwrap());
        assert_ne!(marker("cache").unwrap(), marker("other").unwrap());
    }

    #[test]
    fn what_contradicts_itself_is_not_believed() {
        let image = EntryImage::new("cache", entry(Some(2)), &[blob("a")]).unwrap();
        let read = reread(&image);
        let origin = Origin::Directory("/".into());
        assert!(matches!(
            read.entry.record(&read.blobs, &origin),
            Err(EntryError::Position(1))
        ));
        let manifest: Manifest = serde_json::from_slice(&image.manifest.bytes).unwrap();
        let longer = Manifest {
            layers: [manifest.layers.clone(), manifest.layers.clone()].concat(),
            ..manifest.clone()
        };
        assert!(matches!(
            read_entry(&longer, &image.config.bytes),
            Err(EntryError::LayerCount { layers: 2, diff_ids: 1 })
        ));
        let mut foreign = manifest.clone();
        foreign.layers[0].media_type = "text/plain".into();
        assert!(matches!(
            read_entry(&foreign, &image.config.bytes),
            Err(EntryError::MediaType(_))
        ));
        let timeless = Entry {
            created: "yesterday".to_owned(),
            ..entry(None)
        };
        assert!(matches!(timeless.record(&[], &origin), Err(EntryError::Time(_))));
        let mut other = manifest;
        other
            .config
            .extra
            .insert("data".to_owned(), BASE64.encode(b"{}").into());
        assert_eq!(embedded_config(&other), None);
    }
}
