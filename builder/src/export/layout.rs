//! What an image layout consists of (image-spec, image-layout.md), whether it becomes a tar or a directory.
//!
//! ```text
//! oci-layout               {"imageLayoutVersion":"1.0.0"}
//! index.json               one descriptor for each name of the image
//! manifest.json            only `type=docker`: what `docker load` and `podman load` look for first
//! blobs/sha256/<hex>       documents and layers
//! ```

use std::collections::BTreeMap;

use registry::oci::{Descriptor, Digest, Index, Reference};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Document, ExportError, Image};

/// Annotation under which containerd, and so Docker, finds the full name of an image.
const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// Annotation under which everybody else finds the tag (image-spec, annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The version file's content.
pub(super) const OCI_LAYOUT: &[u8] = b"{\"imageLayoutVersion\":\"1.0.0\"}";

/// Which files a layout has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Those of the specification.
    Oci,
    /// `manifest.json` too; holds one platform.
    Docker,
}

/// An image arranged as a layout, with everything but the layers in memory.
#[derive(Clone, PartialEq, Debug)]
pub struct Layout<'a> {
    pub(super) index: Index,
    /// What `manifest.json` says, if there is to be one.
    pub(super) docker_images: Option<Vec<DockerImage>>,
    pub(super) documents: Vec<&'a Document>,
    pub(super) layers: Vec<&'a Descriptor>,
}

impl<'a> Layout<'a> {
    /// Arranges an image under its names, which may be none.
    pub fn new(image: &'a Image, names: &[Reference], form: Form) -> Result<Self, ExportError> {
        Ok(Self {
            index: Index::new(named(&root_descriptor(image), names)),
            docker_images: match form {
                Form::Oci => None,
                Form::Docker => Some(vec![docker_image(image, names)?]),
            },
            documents: image.documents(),
            layers: image.layers(),
        })
    }

    /// Adds annotations to the entries of `index.json`.
    pub fn annotated(mut self, annotations: &BTreeMap<String, String>) -> Self {
        for entry in &mut self.index.manifests {
            entry.annotations.extend(annotations.clone());
        }
        self
    }
}

/// Returns where a blob lies in a layout.
pub(super) fn blob_path(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Returns the name under which a descriptor of `index.json` is known, to replace it by a newer one.
pub(super) fn name_of(descriptor: &Descriptor) -> Option<&String> {
    let annotations = &descriptor.annotations;
    annotations.get(CONTAINERD_NAME).or_else(|| annotations.get(REF_NAME))
}

/// Describes the image itself; a single manifest says for which platform it is.
pub(super) fn root_descriptor(image: &Image) -> Descriptor {
    let mut descriptor = image.root().descriptor.clone();
    if let Some(image) = image.without_index() {
        descriptor.platform = Some(image.platform.clone());
    }
    descriptor
}

fn named(descriptor: &Descriptor, names: &[Reference]) -> Vec<Descriptor> {
    let with_name = |name: &Reference| {
        let mut descriptor = descriptor.clone();
        descriptor
            .annotations
            .insert(CONTAINERD_NAME.to_owned(), name.to_string());
        if let Some(tag) = name.tag() {
            descriptor.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
        }
        descriptor
    };
    match names {
        [] => vec![descriptor.clone()],
        names => names.iter().map(with_name).collect(),
    }
}

/// One image in Docker's `manifest.json`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DockerImage {
    config: String,
    #[serde(default, deserialize_with = "or_none")]
    pub(super) repo_tags: Vec<String>,
    layers: Vec<String>,
}

/// Reads a list that Docker writes as `null` when it is empty.
fn or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn docker_image(image: &Image, names: &[Reference]) -> Result<DockerImage, ExportError> {
    let [image] = image.manifests() else {
        return Err(ExportError::SeveralPlatforms {
            platforms: image.manifests().len(),
        });
    };
    Ok(DockerImage {
        config: blob_path(image.config.descriptor.digest),
        repo_tags: names.iter().map(Reference::familiar).collect(),
        layers: image.layers.iter().map(|layer| blob_path(layer.digest)).collect(),
    })
}
