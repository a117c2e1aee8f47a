//! Media types of manifests, configs and layers, OCI's and Docker's.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A media type as it stands in a descriptor; unknown ones are kept as they are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaType(pub String);

macro_rules! media_types {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        $($(#[$doc])* pub const $name: &'static str = $value;)*
    };
}

impl MediaType {
    media_types! {
        /// OCI image index.
        INDEX = "application/vnd.oci.image.index.v1+json";
        /// OCI image manifest.
        MANIFEST = "application/vnd.oci.image.manifest.v1+json";
        /// OCI image config.
        CONFIG = "application/vnd.oci.image.config.v1+json";
        /// OCI layer, uncompressed.
        LAYER = "application/vnd.oci.image.layer.v1.tar";
        /// OCI layer, gzip.
        LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip";
        /// OCI layer, zstd.
        LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd";
        /// Docker's index ("manifest list").
        DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json";
        /// Docker's manifest, schema 2.
        DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
        /// Docker's config.
        DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json";
        /// Docker's layer, uncompressed.
        DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar";
        /// Docker's layer, gzip.
        DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip";
        /// Docker's layer, zstd.
        DOCKER_LAYER_ZSTD = "application/vnd.docker.image.rootfs.diff.tar.zstd";
    }

    /// Tells whether this names an index, OCI's or Docker's.
    pub fn is_index(&self) -> bool {
        matches!(self.0.as_str(), Self::INDEX | Self::DOCKER_INDEX)
    }

    /// Tells whether this names a manifest of one platform, OCI's or Docker's.
    pub fn is_manifest(&self) -> bool {
        matches!(self.0.as_str(), Self::MANIFEST | Self::DOCKER_MANIFEST)
    }
}

impl From<&str> for MediaType {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
