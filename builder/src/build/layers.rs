//! Layers on their way out while later steps still run: packed as soon as their snapshot is committed, and
//! pushed as soon as they are packed.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use registry::client::{BlobSource, Client, ClientError};
use registry::content::{ContentError, ContentStore};
use registry::oci::{Descriptor, Reference};
use snapshotter::SnapshotName;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::task::JoinSet;

use crate::image::{
    ImportError, ImportedLayer, ImportedLayers, LayerBlob, LayerError, LayerFormat, LayerPacker, Origin,
};
use crate::ops::StepLayer;

/// Blobs that are uploaded at the same time: more share the line, and keep more of them in the store open.
const UPLOADS: usize = 8;

/// Packs and pushes each layer of a build once.
pub(super) struct LayerTasks {
    shipper: Arc<Shipper>,
    /// In which formats layers are wanted, and where each goes at once: nowhere if it is not pushed.
    formats: Vec<(LayerFormat, Vec<Reference>)>,
    running: Mutex<Running>,
}

/// Makes blobs of layers, and pushes them.
pub(super) struct Shipper {
    pub(super) packer: LayerPacker,
    pub(super) imports: Arc<ImportedLayers>,
    pub(super) client: Client,
    /// For those who pack.
    packing: Semaphore,
    /// For those who upload.
    uploads: Semaphore,
}

type Outcome = Option<Result<LayerBlob, Arc<ShipError>>>;

#[derive(Default)]
struct Running {
    tasks: JoinSet<()>,
    outcomes: HashMap<(SnapshotName, LayerFormat), watch::Receiver<Outcome>>,
}

/// Why a layer did not get out.
#[derive(Debug, thiserror::Error)]
pub enum ShipError {
    /// It could not be packed.
    #[error(transparent)]
    Pack(#[from] LayerError),
    /// Another machine made it, and it cannot be had.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Its blob in the store is damaged.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// It could not be pushed.
    #[error(transparent)]
    Push(#[from] ClientError),
    /// The task ended without a word: a bug.
    #[error("a layer was lost")]
    Lost,
}

impl LayerTasks {
    pub(super) fn new(shipper: Shipper, formats: Vec<(LayerFormat, Vec<Reference>)>) -> Self {
        Self {
            shipper: Arc::new(shipper),
            formats,
            running: Mutex::default(),
        }
    }

    /// Begins with a layer in all formats, unless it has begun.
    pub(super) fn begin(&self, layer: &StepLayer) {
        for (format, destinations) in &self.formats {
            self.begin_format(layer, *format, destinations);
        }
    }

    /// Begins with a layer that is to stay here, unless it has begun.
    pub(super) fn begin_packing(&self, layer: &StepLayer, format: LayerFormat) {
        self.begin_format(layer, format, &[]);
    }

    /// Waits for a layer in a format, begun now if it was not.
    pub(super) async fn finish(&self, layer: &StepLayer, format: LayerFormat) -> Result<LayerBlob, Arc<ShipError>> {
        let mut outcome = self.begin_format(layer, format, &[]);
        match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or_else(|| Err(Arc::new(ShipError::Lost))),
            Err(_gone) => Err(Arc::new(ShipError::Lost)),
        }
    }

    /// Returns who makes and pushes blobs.
    pub(super) fn shipper(&self) -> &Shipper {
        &self.shipper
    }

    fn begin_format(
        &self,
        layer: &StepLayer,
        format: LayerFormat,
        destinations: &[Reference],
    ) -> watch::Receiver<Outcome> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (layer.snapshot.clone(), format);
        if let Some(outcome) = running.outcomes.get(&name) {
            return outcome.clone();
        }
        let (sender, receiver) = watch::channel(None);
        running.outcomes.insert(name, receiver.clone());
        let (shipper, layer, destinations) = (Arc::clone(&self.shipper), layer.clone(), destinations.to_vec());
        running.tasks.spawn(async move {
            let outcome = shipper.ship(&layer, format, &destinations).await;
            sender.send_replace(Some(outcome.map_err(Arc::new)));
        });
        receiver
    }
}

impl Shipper {
    pub(super) fn new(packer: LayerPacker, imports: Arc<ImportedLayers>, client: Client) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            packer,
            imports,
            client,
            packing: Semaphore::new(processors),
            uploads: Semaphore::new(UPLOADS),
        }
    }

    /// Waits for a turn to upload.
    pub(super) async fn upload_turn(&self) -> Result<SemaphorePermit<'_>, ShipError> {
        self.uploads.acquire().await.map_err(|_| ShipError::Lost)
    }

    async fn ship(
        &self,
        layer: &StepLayer,
        format: LayerFormat,
        destinations: &[Reference],
    ) -> Result<LayerBlob, ShipError> {
        let blob = self.blob(layer, format).await?;
        for destination in destinations {
            self.push(destination, &blob.descriptor, layer.imported.as_ref(), &[], &|_| {})
                .await?;
        }
        Ok(blob)
    }

    /// Returns the blob of a layer: that which another machine made, if it has the format; it need not be here.
    async fn blob(&self, layer: &StepLayer, format: LayerFormat) -> Result<LayerBlob, ShipError> {
        if let Some(imported) = &layer.imported {
            if imported.format == format.label() && self.imports.is_at_hand(imported) {
                return Ok(imported.blob.clone());
            }
            self.imports.unpack(imported, None).await?;
        }
        let _turn = self.packing.acquire().await.map_err(|_| ShipError::Lost)?;
        let (packer, snapshot) = (self.packer.clone(), layer.snapshot.clone());
        let packing = tokio::task::spawn_blocking(move || packer.blob(&snapshot, format));
        Ok(packing.await.map_err(|_| ShipError::Lost)??)
    }

    /// Pushes a blob: by mount from `mount_from`, or from where it was imported, if the registry can; else from the
    /// store, where it is brought only now.
    pub(super) async fn push(
        &self,
        to: &Reference,
        blob: &Descriptor,
        imported: Option<&ImportedLayer>,
        mount_from: &[Reference],
        progress: registry::client::Progress<'_>,
    ) -> Result<(), ShipError> {
        let _turn = self.upload_turn().await?;
        let imported = imported.filter(|layer| layer.blob.descriptor.digest == blob.digest);
        let origin = imported.and_then(|layer| match &layer.origin {
            Origin::Registry(reference) => Some(reference.clone()),
            Origin::Directory(_) | Origin::Objects(_) => None,
        });
        let from: Vec<Reference> = mount_from.iter().cloned().chain(origin).collect();
        let content = self.packer.content();
        let push = || {
            let source = BlobSource::File(content.blob_path(blob.digest));
            self.client.push_blob(to, blob, source, &from, progress)
        };
        match (push().await, imported) {
            (Err(_), Some(layer)) if !matches!(content.size(blob.digest), Ok(Some(_))) => {
                self.imports.ensure_blob(layer, None).await?;
                push().await?;
            }
            (Err(error), _) => {
                verify(content, blob).await?;
                return Err(error.into());
            }
            (pushed, _) => drop(pushed?),
        }
        Ok(())
    }
}

/// Fails if a blob of the store is damaged: registries say in many ways that bytes were wrong.
pub(super) async fn verify(content: &ContentStore, blob: &Descriptor) -> Result<(), ContentError> {
    let (content, digest) = (content.clone(), blob.digest);
    match tokio::task::spawn_blocking(move || content.verify(digest)).await {
        Ok(Err(error)) if error.is_damage() => Err(error),
        _ => Ok(()),
    }
}
