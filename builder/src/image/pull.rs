//! Pulling a base: layers are fetched, kept, decompressed and unpacked in one pass each, all at once.
//!
//! Each layer is unpacked into a directory of its own while it downloads, whatever lies below it. Only a
//! layer that leans on lower ones (an entry whose parent it does not bring along) is unpacked again, in
//! order, through a mounted view of those below: then the kernel resolves what it means.

use std::io;
use std::sync::Arc;

use futures_util::future::try_join_all;
use registry::client::ClientError;
use registry::content::{ContentError, ContentStore};
use snapshotter::layer::{UnpackError, UnpackMode};
use snapshotter::{FsError, SnapshotName, StackError, Stacks, Writes};
use tokio::sync::Semaphore;

use super::Origin;
use super::base::{BaseError, BaseImage, BaseLayer};
use super::growth::Allowance;
use super::layout::LayoutError;
use super::resolve::BaseImages;
use super::transfer::{blame, unpack_checked};
use crate::progress::StepId;
use crate::state_dir::StateDirError;

/// Layers of one image that are fetched at the same time.
const PARALLEL: usize = 6;

/// Why an image could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The registry does not have it.
    #[error("image `{0}` was not found")]
    NotFound(String),
    /// The store has it, but for other platforms, and the registry gave none.
    #[error("the store has image `{image}`, but not for {platform}")]
    ForOthers {
        /// The image.
        image: String,
        /// The platform.
        platform: String,
        /// Why the registry gave none, if not because it has none.
        #[source]
        source: Option<Box<ClientError>>,
    },
    /// The registry could not be asked, or gave what is not an image.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// An image layout on disk does not have it.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The image contradicts itself.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// The store refused.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The state directory refused.
    #[error(transparent)]
    State(#[from] StateDirError),
    /// A blob could not be written to the store while it came in.
    #[error("cannot keep a blob")]
    Keep(#[source] io::Error),
    /// A snapshot could not be made.
    #[error(transparent)]
    Snapshot(#[from] FsError),
    /// The layers below could not be mounted.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The compressed stream is damaged.
    #[error("cannot decompress layer `{layer}`")]
    Decompress {
        /// Digest of the blob.
        layer: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The archive is damaged or hostile.
    #[error("cannot unpack layer `{layer}`")]
    Unpack {
        /// Digest of the blob.
        layer: String,
        /// Why.
        #[source]
        source: UnpackError,
    },
    /// The archive is not the one that the config promises.
    #[error("layer `{layer}` is not what its config says: expected DiffID `{expected}`, got `{actual}`")]
    DiffId {
        /// Digest of the blob.
        layer: String,
        /// As the config has it.
        expected: String,
        /// As unpacked.
        actual: String,
    },
    /// The layer makes no sense without those below it, and should.
    #[error("layer `{0}` leans on layers below it")]
    Leans(String),
    /// A digest makes no snapshot name; cannot happen as long as names allow hex digits.
    #[error("cannot name the snapshot of a layer")]
    Name(#[from] snapshotter::InvalidSnapshotName),
    /// It is in a place that this build does not use.
    #[error("this build does not import from `{0}`")]
    Elsewhere(String),
    /// The unpacking thread ended without a word: a bug.
    #[error("a layer was lost")]
    Lost,
}

impl BaseImages {
    /// Returns whether every layer of an image has its snapshot.
    pub fn is_unpacked(&self, base: &BaseImage) -> bool {
        base.unpacked.initialized()
            || base
                .layers
                .iter()
                .all(|layer| matches!(self.transfer.stacks.store().stat(&layer.snapshot), Ok(Some(_))))
    }

    /// Makes the snapshots of an image, pulling what is missing; shown as `step`.
    ///
    /// # Errors
    /// If a layer cannot be fetched, or is damaged or hostile. What was unpacked before stays.
    pub async fn unpack(&self, base: &Arc<BaseImage>, step: Option<StepId>) -> Result<(), PullError> {
        base.unpacked.get_or_try_init(|| self.pull(base, step)).await.copied()
    }

    /// Makes sure that a layer's blob is in the content store.
    ///
    /// # Errors
    /// If it is not there and cannot be fetched.
    pub async fn ensure_blob(
        &self,
        base: &BaseImage,
        layer: &BaseLayer,
        step: Option<StepId>,
    ) -> Result<(), PullError> {
        let from = Origin::Registry(base.reference.clone());
        self.transfer.ensure_blob(&from, &layer.descriptor, step).await
    }

    async fn pull(&self, base: &Arc<BaseImage>, step: Option<StepId>) -> Result<(), PullError> {
        let permits = Semaphore::new(PARALLEL);
        let from = &Origin::Registry(base.reference.clone());
        let alone = base.layers.iter().enumerate().map(|(position, layer)| {
            let permits = &permits;
            async move {
                let Some(_flight) = self.transfer.enter(&layer.snapshot).await? else {
                    return Ok::<_, PullError>(None);
                };
                let _permit = permits.acquire().await.map_err(|_| PullError::Lost)?;
                let alone = self.transfer.unpack_alone(from, &layer.blob(), step).await?;
                // The lowest layer has nothing to lean on; others wait for theirs.
                if alone.leans && position > 0 {
                    return Ok(Some(position));
                }
                alone.snapshot.commit(&layer.snapshot)?;
                Ok(None)
            }
        });
        let leaning: Vec<usize> = try_join_all(alone).await?.into_iter().flatten().collect();
        for position in leaning {
            let (base, content, stacks) = (
                Arc::clone(base),
                self.transfer.content.clone(),
                self.transfer.stacks.clone(),
            );
            let allowance = self.transfer.allowance;
            let merged = move || unpack_merged(&content, &stacks, &base.layers[..=position], &allowance);
            tokio::task::spawn_blocking(merged)
                .await
                .map_err(|_| PullError::Lost)??;
        }
        Ok(())
    }
}

/// Unpacks the topmost of `layers` through a view of those below it.
fn unpack_merged(
    content: &ContentStore,
    stacks: &Stacks,
    layers: &[BaseLayer],
    allowance: &Allowance,
) -> Result<(), PullError> {
    let Some((layer, below)) = layers.split_last() else {
        return Ok(());
    };
    let below: Vec<SnapshotName> = below.iter().map(|layer| layer.snapshot.clone()).collect();
    let workspace = stacks.workspace(&below, Writes::NewFiles)?;
    let blob = content.open_blob(&layer.descriptor)?;
    unpack_checked(blob, workspace.root()?, UnpackMode::Merged, &layer.blob(), allowance)
        .map_err(|error| blame(content, layer.descriptor.digest, error))?;
    Ok(workspace.commit(&layer.snapshot)?)
}
