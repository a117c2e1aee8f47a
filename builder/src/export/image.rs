//! A finished image as plain data. Its layers lie in the content store.

use registry::oci::{Descriptor, Platform};

/// A manifest, index or config: its exact bytes and what describes them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Document {
    /// Media type, digest and size.
    pub descriptor: Descriptor,
    /// The bytes that the digest is of.
    pub bytes: Vec<u8>,
}

impl Document {
    /// Describes bytes.
    pub fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        Self {
            descriptor: Descriptor::of(media_type, &bytes),
            bytes,
        }
    }
}

/// The image for one platform.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlatformImage {
    /// For what it is.
    pub platform: Platform,
    /// Its manifest.
    pub manifest: Document,
    /// Its config.
    pub config: Document,
    /// Its layers as the manifest lists them, lowest first.
    pub layers: Vec<Descriptor>,
}

/// An image for one platform, or for several under an index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Image {
    /// One platform, named by its manifest.
    Single(PlatformImage),
    /// Several platforms, or one with attestations, named by an index.
    Index {
        /// The index.
        index: Document,
        /// What it lists, in its order.
        manifests: Vec<PlatformImage>,
    },
}

impl Image {
    /// Returns the document that the image's name stands for.
    pub fn root(&self) -> &Document {
        match self {
            Self::Single(image) => &image.manifest,
            Self::Index { index, .. } => index,
        }
    }

    /// Returns the image for each platform.
    pub fn manifests(&self) -> &[PlatformImage] {
        match self {
            Self::Single(image) => std::slice::from_ref(image),
            Self::Index { manifests, .. } => manifests,
        }
    }

    /// Returns every document once, the root last, so that whatever is written in this order never names
    /// what is not there yet.
    pub fn documents(&self) -> Vec<&Document> {
        let mut documents: Vec<&Document> = Vec::new();
        let of_platforms = self
            .manifests()
            .iter()
            .flat_map(|image| [&image.config, &image.manifest]);
        for document in of_platforms.chain([self.root()]) {
            if !documents
                .iter()
                .any(|seen| seen.descriptor.digest == document.descriptor.digest)
            {
                documents.push(document);
            }
        }
        documents
    }

    /// Returns every layer once, in the order of first use.
    pub fn layers(&self) -> Vec<&Descriptor> {
        let mut layers: Vec<&Descriptor> = Vec::new();
        for layer in self.manifests().iter().flat_map(|image| &image.layers) {
            if !layers.iter().any(|seen| seen.digest == layer.digest) {
                layers.push(layer);
            }
        }
        layers
    }
}
