//! Base images: pinned when a build is planned, pulled only when a step must see their files.

use std::sync::Arc;

use registry::oci::{ChainId, Descriptor, DiffId, ImageConfig, Reference};
use snapshotter::{InvalidSnapshotName, SnapshotName};
use tokio::sync::OnceCell;

use super::LayerBlob;

/// An image that a build starts from or copies from.
#[derive(Debug)]
pub struct BaseImage {
    /// Where it is, pinned to its manifest.
    pub reference: Reference,
    /// The manifest for the platform.
    pub manifest: Descriptor,
    /// Its config.
    pub config: ImageConfig,
    /// Its layers, lowest first.
    pub layers: Vec<BaseLayer>,
    /// Set when every layer has its snapshot; whoever comes second waits for whoever came first.
    pub(super) unpacked: OnceCell<()>,
}

/// One layer of a base image.
#[derive(Clone, Debug)]
pub struct BaseLayer {
    /// The blob.
    pub descriptor: Descriptor,
    /// The digest of its uncompressed tar, as the config promises it.
    pub diff_id: DiffId,
    /// The snapshot that it becomes: named by its ChainID, because what a layer means depends on those below.
    pub snapshot: SnapshotName,
    /// The identity of the stack up to this layer.
    pub chain_id: ChainId,
}

impl BaseLayer {
    /// Returns the blob and what it unpacks to.
    pub fn blob(&self) -> LayerBlob {
        LayerBlob {
            descriptor: self.descriptor.clone(),
            diff_id: self.diff_id,
        }
    }
}

/// Why an image cannot be a base.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// Manifest and config disagree.
    #[error("`{reference}` is not an image: its manifest has {layers} layers and its config {diff_ids}")]
    LayerCount {
        /// The image.
        reference: String,
        /// Layers in the manifest.
        layers: usize,
        /// DiffIDs in the config.
        diff_ids: usize,
    },
    /// A digest makes no snapshot name; cannot happen as long as names allow hex digits.
    #[error("cannot name the snapshot of a layer")]
    Name(#[from] InvalidSnapshotName),
}

/// Returns the snapshot that a base's topmost layer becomes: it may lean on those below it, so all of them name it.
///
/// # Errors
/// Never, as long as names may have hex digits.
pub fn base_snapshot(chain: ChainId) -> Result<SnapshotName, InvalidSnapshotName> {
    SnapshotName::new(&format!("layer-{}", chain.0.hex()))
}

/// Returns whether a snapshot is that of a base's layer.
pub fn is_base_snapshot(snapshot: &SnapshotName) -> bool {
    snapshot.as_str().starts_with("layer-")
}

impl BaseImage {
    /// Makes a base of a manifest's layers and a config.
    ///
    /// # Errors
    /// If the two do not have the same number of layers.
    pub fn new(
        reference: Reference,
        manifest: Descriptor,
        layers: Vec<Descriptor>,
        config: ImageConfig,
    ) -> Result<Arc<Self>, BaseError> {
        let diff_ids = &config.rootfs.diff_ids;
        if layers.len() != diff_ids.len() {
            return Err(BaseError::LayerCount {
                reference: reference.familiar(),
                layers: layers.len(),
                diff_ids: diff_ids.len(),
            });
        }
        let mut parent = None;
        let layers = layers.into_iter().zip(diff_ids).map(|(descriptor, diff_id)| {
            let chain_id = ChainId::stack(parent, *diff_id);
            parent = Some(chain_id);
            let snapshot = base_snapshot(chain_id)?;
            Ok(BaseLayer {
                descriptor,
                diff_id: *diff_id,
                snapshot,
                chain_id,
            })
        });
        let layers = layers.collect::<Result<_, BaseError>>()?;
        Ok(Arc::new(Self {
            reference,
            manifest,
            config,
            layers,
            unpacked: OnceCell::new(),
        }))
    }

    /// Returns the identity of its files; `None` for an image without layers.
    pub fn chain_id(&self) -> Option<ChainId> {
        self.layers.last().map(|layer| layer.chain_id)
    }

    /// Returns the layers' descriptors, lowest first.
    pub fn descriptors(&self) -> Vec<Descriptor> {
        self.layers.iter().map(|layer| layer.descriptor.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use registry::oci::{Digest, MediaType, RootFs};

    use super::*;

    fn config(layers: &[&str]) -> ImageConfig {
        let diff_ids = layers
            .iter()
            .map(|layer| DiffId(Digest::of(layer.as_bytes())))
            .collect();
        ImageConfig {
            rootfs: RootFs {
                diff_ids,
                ..RootFs::default()
            },
            ..ImageConfig::default()
        }
    }

    fn base(blobs: &[&str], config: ImageConfig) -> Result<Arc<BaseImage>, BaseError> {
        let blobs = blobs
            .iter()
            .map(|blob| Descriptor::of(MediaType::LAYER_GZIP, blob.as_bytes()))
            .collect();
        let manifest = Descriptor::of(MediaType::MANIFEST, b"manifest");
        BaseImage::new("a".parse().unwrap(), manifest, blobs, config)
    }

    #[test]
    fn a_layer_is_named_by_what_lies_below_it_and_not_by_its_compression() {
        let one = base(&["x.gz", "y.gz"], config(&["x", "y"])).unwrap();
        let other = base(&["x.zst", "y.zst"], config(&["x", "y"])).unwrap();
        let above_another = base(&["z.gz", "y.gz"], config(&["z", "y"])).unwrap();
        assert_eq!(one.layers[1].snapshot, other.layers[1].snapshot);
        assert_ne!(one.layers[1].snapshot, above_another.layers[1].snapshot);
        assert_eq!(one.chain_id(), other.chain_id());
    }

    #[test]
    fn a_config_with_another_number_of_layers_is_refused() {
        assert!(base(&["x"], config(&["x", "y"])).is_err());
        assert_eq!(base(&[], config(&[])).unwrap().chain_id(), None);
    }
}
