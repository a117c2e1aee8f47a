//! Images whose documents the store has: found by name, and read without asking anybody.
//!
//! Whatever is missing or damaged there counts as not known.

use registry::client::manifest_for;
use registry::content::ContentStore;
use registry::oci::{Descriptor, Digest, ImageConfig, Index, Manifest, Platform, Reference};
use serde::de::DeserializeOwned;

use super::resolve::MAX_DOCUMENT;
use crate::state_dir::Tags;

/// The images of a store.
pub struct StoredImages {
    names: Option<Tags>,
    content: ContentStore,
}

/// What an image is made of, for one platform.
pub struct Documents {
    /// The manifest's descriptor.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// The config.
    pub config: ImageConfig,
}

impl StoredImages {
    /// Reads documents out of `content`; without `names` it has none.
    pub fn new(names: Option<Tags>, content: ContentStore) -> Self {
        Self { names, content }
    }

    /// Returns what a name stands for.
    pub fn named(&self, reference: &Reference) -> Option<Descriptor> {
        self.names.as_ref()?.get(reference).ok().flatten()
    }

    /// Returns whether an image is for a platform; it is unless its documents say something else.
    pub fn is_for(&self, image: &Descriptor, platform: &Platform) -> bool {
        let manifests = match image.media_type.is_index() {
            true => self.read::<Index>(image.digest).map(|index| index.manifests),
            // A manifest does not say for which platform it is, its config does.
            false => self.documents(image, platform).map(|documents| {
                vec![Descriptor {
                    platform: Some(documents.config.platform()),
                    ..documents.descriptor
                }]
            }),
        };
        manifests.is_none_or(|manifests| manifest_for(&manifests, platform).is_some())
    }

    /// Returns what an image is made of; of an index, that for the platform.
    pub fn documents(&self, image: &Descriptor, platform: &Platform) -> Option<Documents> {
        let descriptor = match image.media_type.is_index() {
            true => manifest_for(&self.read::<Index>(image.digest)?.manifests, platform)?.clone(),
            false => image.clone(),
        };
        let manifest: Manifest = self.read(descriptor.digest)?;
        let config = self.read(manifest.config.digest)?;
        Some(Documents {
            descriptor,
            manifest,
            config,
        })
    }

    fn read<T: DeserializeOwned>(&self, digest: Digest) -> Option<T> {
        serde_json::from_slice(&self.content.read(digest, MAX_DOCUMENT).ok()?).ok()
    }
}
