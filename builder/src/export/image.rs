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

/// What is attested of the image for one platform: a manifest whose layers are statements.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AttestationManifest {
    /// The manifest.
    pub manifest: Document,
    /// Its config.
    pub config: Document,
    /// Its layers.
    pub statements: Vec<Document>,
}

/// An image for one platform, or for several under an index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Image {
    /// Without one there is exactly one manifest.
    index: Option<Document>,
    manifests: Vec<PlatformImage>,
    attestations: Vec<AttestationManifest>,
}

impl Image {
    /// Makes an image for one platform, which its manifest names.
    pub fn single(image: PlatformImage) -> Self {
        Self {
            index: None,
            manifests: vec![image],
            attestations: Vec::new(),
        }
    }

    /// Makes an image for several platforms, or for one with attestations, from an index and what it lists.
    pub fn under_index(index: Document, manifests: Vec<PlatformImage>, attestations: Vec<AttestationManifest>) -> Self {
        Self {
            index: Some(index),
            manifests,
            attestations,
        }
    }

    /// Returns the document that the image's name stands for: the index, else the manifest.
    pub fn root(&self) -> &Document {
        self.index.as_ref().unwrap_or_else(|| &self.manifests[0].manifest)
    }

    /// Returns the image for each platform, in the index's order.
    pub fn manifests(&self) -> &[PlatformImage] {
        &self.manifests
    }

    /// Returns what is attested of the images, in the index's order.
    pub fn attestations(&self) -> &[AttestationManifest] {
        &self.attestations
    }

    /// Returns the only platform's image if no index stands above it.
    pub fn without_index(&self) -> Option<&PlatformImage> {
        match self.index {
            Some(_) => None,
            None => self.manifests.first(),
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
        let attested = self.attestations().iter().flat_map(|attestations| {
            let content = attestations.statements.iter().chain([&attestations.config]);
            content.chain([&attestations.manifest])
        });
        for document in of_platforms.chain(attested).chain([self.root()]) {
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
