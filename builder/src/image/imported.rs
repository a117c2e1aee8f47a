//! Layers that another machine made: known by the blob that holds them, fetched only when somebody must see the
//! files or have the blob.
//!
//! A plan may count on such a layer before anybody has seen it. Should it turn out to be gone or damaged, that is a
//! *loss*: the layer is not believed in any more for the rest of the build, and whoever planned plans again.

use std::collections::{BTreeSet, HashMap};
use std::error::Error as _;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use registry::content::ContentError;
use registry::oci::{DiffId, Digest};
use serde::{Deserialize, Serialize};
use snapshotter::layer::{Limits, UnpackMode};
use snapshotter::{InvalidSnapshotName, Root, SnapshotName};
use tokio::sync::{OnceCell, Semaphore};

use super::growth::Allowance;
use super::transfer::{Transfer, blame, unpack_checked};
use super::{LayerBlob, Origin, PullError};
use crate::progress::StepId;

/// Layers that are fetched at the same time.
const PARALLEL: usize = 6;

/// A layer that another machine made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ImportedLayer {
    /// The blob, and what it unpacks to.
    #[serde(flatten)]
    pub blob: LayerBlob,
    /// In which format it was packed, as [`LayerFormat::label`](super::LayerFormat::label) names it.
    pub format: String,
    /// Where the blob can be had.
    pub origin: Origin,
}

/// A layer that could not be had after all.
#[derive(Clone, Debug, thiserror::Error)]
#[error("layer `{layer}` of the cache `{origin}` cannot be used")]
pub struct ImportError {
    /// The blob.
    pub layer: Digest,
    /// Where it should have been, as in messages.
    pub origin: String,
    /// Why.
    pub source: Arc<PullError>,
}

/// What one build has imported.
pub struct ImportedLayers {
    transfer: Transfer,
    /// Where this build imports from: layers of any other place are only believed in if they are in the store.
    origins: Vec<Origin>,
    permits: Semaphore,
    unpacked: Mutex<HashMap<SnapshotName, Arc<OnceCell<()>>>>,
    losses: Mutex<Losses>,
}

#[derive(Default)]
struct Losses {
    layers: BTreeSet<Digest>,
    unreported: Vec<ImportError>,
}

impl ImportedLayer {
    /// Returns the snapshot that the layer becomes.
    ///
    /// It is named by the DiffID alone: unlike a base's layer, an imported one must not lean on those below it.
    pub fn snapshot(&self) -> Result<SnapshotName, InvalidSnapshotName> {
        imported_snapshot(self.blob.diff_id)
    }
}

/// Returns the snapshot that an imported layer becomes.
///
/// # Errors
/// Never, as long as names may have hex digits.
pub fn imported_snapshot(diff_id: DiffId) -> Result<SnapshotName, InvalidSnapshotName> {
    SnapshotName::new(&format!("diff-{}", diff_id.0.hex()))
}

impl ImportedLayers {
    /// Imports from `origins`.
    pub fn new(transfer: Transfer, origins: Vec<Origin>) -> Self {
        Self {
            transfer,
            origins,
            permits: Semaphore::new(PARALLEL),
            unpacked: Mutex::default(),
            losses: Mutex::default(),
        }
    }

    /// Returns whether a layer can be had, as far as that is known without asking anybody.
    pub fn is_at_hand(&self, layer: &ImportedLayer) -> bool {
        let blob = &layer.blob.descriptor;
        let is_stored = || matches!(self.transfer.content.size(blob.digest), Ok(Some(size)) if size == blob.size);
        !self.losses().layers.contains(&blob.digest) && (self.origins.contains(&layer.origin) || is_stored())
    }

    /// Makes the snapshot of a layer, unless it is there.
    ///
    /// # Errors
    /// If the layer is lost.
    pub async fn unpack(&self, layer: &ImportedLayer, step: Option<StepId>) -> Result<(), ImportError> {
        let name = layer.snapshot().map_err(|error| self.lose(layer, error.into()))?;
        let cell = {
            let mut unpacked = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(unpacked.entry(name.clone()).or_default())
        };
        let made = cell.get_or_try_init(|| async {
            let Some(_flight) = self.transfer.enter(&name).await? else {
                return Ok(());
            };
            let _permit = self.permits.acquire().await.map_err(|_| PullError::Lost)?;
            let alone = self.transfer.unpack_alone(&layer.origin, &layer.blob, step).await?;
            if alone.leans {
                return Err(PullError::Leans(layer.blob.descriptor.digest.to_string()));
            }
            Ok(alone.snapshot.commit(&name)?)
        });
        made.await.copied().map_err(|error| self.lose(layer, error))
    }

    /// Brings the blob of a layer into the content store, unless it is there.
    ///
    /// # Errors
    /// If the layer is lost.
    pub async fn ensure_blob(&self, layer: &ImportedLayer, step: Option<StepId>) -> Result<(), ImportError> {
        let kept = self.transfer.ensure_blob(&layer.origin, &layer.blob.descriptor, step);
        kept.await.map_err(|error| self.lose(layer, error))
    }

    /// Unpacks what is no layer but the whole content of a directory: a cache mount. Its blob is fetched, and `into` is
    /// filled. Nothing is lost if it cannot be had: no plan counts on it.
    ///
    /// # Errors
    /// If it cannot be had, or is not what it should be; `into` may hold a part of it then.
    pub async fn unpack_into(
        &self,
        layer: &ImportedLayer,
        into: Root,
        limits: Limits,
        step: Option<StepId>,
    ) -> Result<(), PullError> {
        let blob = &layer.blob.descriptor;
        self.transfer.ensure_blob(&layer.origin, blob, step).await?;
        let (content, layer) = (self.transfer.content.clone(), layer.blob.clone());
        let allowance = Allowance {
            limits,
            ..self.transfer.allowance
        };
        let unpacking = tokio::task::spawn_blocking(move || {
            let digest = layer.descriptor.digest;
            let unpacked = content
                .open_blob(&layer.descriptor)
                .map_err(PullError::from)
                .and_then(|blob| unpack_checked(blob, &into, UnpackMode::Archive, &layer, &allowance));
            unpacked.map(drop).map_err(|error| blame(&content, digest, error))
        });
        let unpacked = unpacking.await.map_err(|_| PullError::Lost)?;
        if unpacked.as_ref().is_err_and(is_damage) {
            let _stays_damaged = self.transfer.content.remove(blob.digest);
        }
        unpacked
    }

    /// Returns the losses since the last call.
    pub fn take_losses(&self) -> Vec<ImportError> {
        std::mem::take(&mut self.losses().unreported)
    }

    fn lose(&self, layer: &ImportedLayer, source: PullError) -> ImportError {
        let digest = layer.blob.descriptor.digest;
        if is_damage(&source) {
            let _stays_lost = self.transfer.content.remove(digest);
        }
        let error = ImportError {
            layer: digest,
            origin: layer.origin.to_string(),
            source: Arc::new(source),
        };
        let mut losses = self.losses();
        if losses.layers.insert(digest) {
            losses.unreported.push(error.clone());
        }
        error
    }

    fn losses(&self) -> MutexGuard<'_, Losses> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether a blob of the store was found damaged, as opposed to a claim about it found wrong.
fn is_damage(error: &PullError) -> bool {
    if let PullError::Content(error) = error {
        return error.is_damage();
    }
    let mut cause = error.source();
    while let Some(error) = cause {
        let content = error.downcast_ref::<io::Error>().and_then(ContentError::within);
        if content.is_some_and(ContentError::is_damage) {
            return true;
        }
        cause = error.source();
    }
    false
}
