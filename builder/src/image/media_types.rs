//! Whose media types an image has: OCI's, or Docker's for registries that know no others.

use registry::oci::{Descriptor, MediaType};

/// Whose media types a new image has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum MediaTypes {
    /// OCI's.
    #[default]
    Oci,
    /// Docker's.
    Docker,
}

/// Layers under OCI's and under Docker's name.
const LAYERS: [(&str, &str); 3] = [
    (MediaType::LAYER, MediaType::DOCKER_LAYER),
    (MediaType::LAYER_GZIP, MediaType::DOCKER_LAYER_GZIP),
    (MediaType::LAYER_ZSTD, MediaType::DOCKER_LAYER_ZSTD),
];

impl MediaTypes {
    /// Returns the media type of an index.
    pub fn index(self) -> &'static str {
        match self {
            Self::Oci => MediaType::INDEX,
            Self::Docker => MediaType::DOCKER_INDEX,
        }
    }

    /// Returns the media type of a manifest.
    pub fn manifest(self) -> &'static str {
        match self {
            Self::Oci => MediaType::MANIFEST,
            Self::Docker => MediaType::DOCKER_MANIFEST,
        }
    }

    /// Returns the media type of a config.
    pub fn config(self) -> &'static str {
        match self {
            Self::Oci => MediaType::CONFIG,
            Self::Docker => MediaType::DOCKER_CONFIG,
        }
    }

    /// Returns whether a media type is that of a layer, in either family.
    pub fn is_layer(media_type: &MediaType) -> bool {
        let known = LAYERS.iter().flat_map(|(oci, docker)| [*oci, *docker]);
        known.into_iter().any(|known| known == media_type.0)
    }

    /// Returns the same layer under this family's name for it; the bytes have only one meaning.
    pub fn layer(self, layer: &Descriptor) -> Descriptor {
        let known = LAYERS
            .iter()
            .find(|(oci, docker)| [*oci, *docker].contains(&layer.media_type.0.as_str()));
        let media_type = match (known, self) {
            (Some((oci, _)), Self::Oci) => (*oci).into(),
            (Some((_, docker)), Self::Docker) => (*docker).into(),
            (None, _) => layer.media_type.clone(),
        };
        Descriptor {
            media_type,
            ..layer.clone()
        }
    }
}
