//! Layers on their way out while later steps still run: as soon as their snapshot is committed they are packed, and pushed
//! from the store or, where nobody here wants the blob, sent while they are packed.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use registry::client::{BlobMaker, BlobSource, Client, ClientError, Progress, Streamed};
use registry::content::{ContentError, ContentStore};
use registry::oci::{Descriptor, Digest, Reference};
use snapshotter::SnapshotName;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::task::JoinSet;

use super::routes::Route;
use crate::image::{ImportError, ImportedLayers, LayerBlob, LayerError, LayerFormat, LayerPacker, Origin};
use crate::ops::StepLayer;

/// Blobs that are uploaded at the same time: more share the line, and keep more of them in the store open.
const UPLOADS: usize = 8;

/// Layers that are packed and sent at the same time: each has blocks in memory, and a thread that mostly waits.
const STREAMS: usize = 4;

/// Packs and pushes each layer of a build once.
pub(super) struct LayerTasks {
    shipper: Arc<Shipper>,
    /// In which formats layers are wanted, and where they go.
    routes: Vec<(LayerFormat, Route)>,
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
    /// For those of them who pack meanwhile.
    streams: Semaphore,
}

/// What a blob can be made of that is not in the store: a layer, in a format.
#[derive(Clone, Copy)]
pub(super) struct MadeOf<'a>(pub(super) &'a StepLayer, pub(super) LayerFormat);

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
    /// It was packed again, and its blob is another one now; what names the old one has to be made anew.
    #[error("the blob `{expected}` of a layer became `{}` when it was packed again", found.descriptor.digest)]
    Repacked {
        /// As it was packed before, by another version of croze.
        expected: Digest,
        /// As it is packed now.
        found: Box<LayerBlob>,
    },
    /// The task ended without a word: a bug.
    #[error("a layer was lost")]
    Lost,
}

impl ShipError {
    /// Returns the blob of a layer that turned out to be another one when it was packed again.
    pub(super) fn repacked(&self) -> Option<Digest> {
        match self {
            Self::Repacked { expected, .. } => Some(*expected),
            _ => None,
        }
    }
}

impl LayerTasks {
    pub(super) fn new(shipper: Shipper, routes: Vec<(LayerFormat, Route)>) -> Self {
        Self {
            shipper: Arc::new(shipper),
            routes,
            running: Mutex::default(),
        }
    }

    /// Begins with a layer of an image in all formats, unless it has begun.
    pub(super) fn begin(&self, layer: &StepLayer) {
        for (format, route) in &self.routes {
            self.begin_format(layer, *format, route);
        }
    }

    /// Begins with a layer for a cache, unless it has begun. Only those of images are pushed.
    pub(super) fn begin_packing(&self, layer: &StepLayer, format: LayerFormat) {
        self.begin_format(layer, format, &self.route(format));
    }

    /// Waits for a layer in a format, begun now if it was not.
    pub(super) async fn finish(&self, layer: &StepLayer, format: LayerFormat) -> Result<LayerBlob, Arc<ShipError>> {
        let mut outcome = self.begin_format(layer, format, &self.route(format));
        match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or_else(|| Err(Arc::new(ShipError::Lost))),
            Err(_gone) => Err(Arc::new(ShipError::Lost)),
        }
    }

    /// Forgets that a layer is this blob: who asks for it again gets what has been noted meanwhile.
    pub(super) fn forget(&self, blob: Digest) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let is_other = |outcome: &Outcome| !matches!(outcome, Some(Ok(layer)) if layer.descriptor.digest == blob);
        running.outcomes.retain(|_, outcome| is_other(&outcome.borrow()));
    }

    /// Returns who makes and pushes blobs.
    pub(super) fn shipper(&self) -> &Shipper {
        &self.shipper
    }

    /// Returns the route of a layer that nobody has begun with when it could still go early.
    fn route(&self, format: LayerFormat) -> Route {
        match self.routes.iter().find(|(of, _)| *of == format) {
            Some((_, through @ Route::Through { .. })) => through.clone(),
            Some((_, Route::Kept(_))) | None => Route::Kept(Vec::new()),
        }
    }

    fn begin_format(&self, layer: &StepLayer, format: LayerFormat, route: &Route) -> watch::Receiver<Outcome> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (layer.snapshot.clone(), format);
        if let Some(outcome) = running.outcomes.get(&name) {
            return outcome.clone();
        }
        let (sender, receiver) = watch::channel(None);
        running.outcomes.insert(name, receiver.clone());
        let (shipper, layer, route) = (Arc::clone(&self.shipper), layer.clone(), route.clone());
        running.tasks.spawn(async move {
            let outcome = shipper.ship(MadeOf(&layer, format), &route).await;
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
            streams: Semaphore::new(STREAMS),
        }
    }

    /// Waits for a turn to upload.
    pub(super) async fn upload_turn(&self) -> Result<SemaphorePermit<'_>, ShipError> {
        self.uploads.acquire().await.map_err(|_| ShipError::Lost)
    }

    async fn ship(&self, layer: MadeOf<'_>, route: &Route) -> Result<LayerBlob, ShipError> {
        let imported = self.usable_import(layer).await?;
        match route {
            Route::Kept(destinations) => {
                let blob = match imported {
                    Some(blob) => blob,
                    None => self.pack(layer).await?,
                };
                for (number, to) in destinations.iter().enumerate() {
                    let from = &destinations[..number];
                    self.push(to, &blob.descriptor, Some(layer), from, &|_| {}).await?;
                }
                Ok(blob)
            }
            Route::Through {
                first,
                others,
                asks_for_image,
            } => {
                let known = imported.or_else(|| self.packer.noted(&layer.0.snapshot, layer.1));
                let blob = match known {
                    Some(blob) if *asks_for_image => return Ok(blob),
                    Some(blob) => self.push_known(first, blob, layer).await?,
                    None => {
                        let _turn = self.upload_turn().await?;
                        let sent = self.send(first, None, layer, &[], &|_| {}).await?;
                        sent.ok_or(ShipError::Lost)?
                    }
                };
                let from = std::slice::from_ref(first);
                for to in others {
                    self.push(to, &blob.descriptor, Some(layer), from, &|_| {}).await?;
                }
                Ok(blob)
            }
        }
    }

    /// Returns the blob that another machine made of a layer, if it has the format; it need not be here. If it does not,
    /// the layer is here afterwards.
    async fn usable_import(&self, MadeOf(layer, format): MadeOf<'_>) -> Result<Option<LayerBlob>, ShipError> {
        let Some(imported) = &layer.imported else {
            return Ok(None);
        };
        if imported.format == format.label() && self.imports.is_at_hand(imported) {
            return Ok(Some(imported.blob.clone()));
        }
        self.imports.unpack(imported, None).await?;
        Ok(None)
    }

    /// Packs a layer into the store, unless its blob is there.
    async fn pack(&self, MadeOf(layer, format): MadeOf<'_>) -> Result<LayerBlob, ShipError> {
        let _turn = self.packing.acquire().await.map_err(|_| ShipError::Lost)?;
        let (packer, snapshot) = (self.packer.clone(), layer.snapshot.clone());
        let packing = tokio::task::spawn_blocking(move || packer.blob(&snapshot, format));
        Ok(packing.await.map_err(|_| ShipError::Lost)??)
    }

    /// Pushes a layer that was packed before; returns what it is now, while no manifest names it yet.
    async fn push_known(&self, to: &Reference, blob: LayerBlob, layer: MadeOf<'_>) -> Result<LayerBlob, ShipError> {
        match self.push(to, &blob.descriptor, Some(layer), &[], &|_| {}).await {
            Ok(()) => Ok(blob),
            Err(ShipError::Repacked { found, .. }) => Ok(*found),
            Err(error) => Err(error),
        }
    }

    /// Pushes a blob: by mount from `mount_from`, or from where it was imported, if the registry can; else from the
    /// store. What is not there is brought there if another machine made it, and if not sent while it is packed.
    pub(super) async fn push(
        &self,
        to: &Reference,
        blob: &Descriptor,
        of: Option<MadeOf<'_>>,
        mount_from: &[Reference],
        progress: Progress<'_>,
    ) -> Result<(), ShipError> {
        let _turn = self.upload_turn().await?;
        let content = self.packer.content();
        let is_stored = || matches!(content.size(blob.digest), Ok(Some(_)));
        let imported = of.and_then(|MadeOf(layer, _)| layer.imported.as_ref());
        let imported = imported.filter(|layer| layer.blob.descriptor.digest == blob.digest);
        if let (Some(layer), None, false) = (of, imported, is_stored()) {
            return match self.send(to, Some(blob), layer, mount_from, progress).await? {
                Some(sent) if sent.descriptor.digest != blob.digest => Err(ShipError::Repacked {
                    expected: blob.digest,
                    found: Box::new(sent),
                }),
                Some(_) | None => Ok(()),
            };
        }
        let origin = imported.and_then(|layer| match &layer.origin {
            Origin::Registry(reference) => Some(reference.clone()),
            Origin::Directory(_) | Origin::Objects(_) => None,
        });
        let from: Vec<Reference> = mount_from.iter().cloned().chain(origin).collect();
        let push = || {
            let source = BlobSource::File(content.blob_path(blob.digest));
            self.client.push_blob(to, blob, source, &from, progress)
        };
        match (push().await, imported) {
            (Err(_), Some(layer)) if !is_stored() => {
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

    /// Sends a layer while it is packed, and returns what was sent; `None` if the registry has, or mounts, the blob that
    /// it is `known` to be. A registry that does not take it so gets it from the store. Whoever calls has a turn to upload.
    async fn send(
        &self,
        to: &Reference,
        known: Option<&Descriptor>,
        layer: MadeOf<'_>,
        mount_from: &[Reference],
        progress: Progress<'_>,
    ) -> Result<Option<LayerBlob>, ShipError> {
        let _turn = self.streams.acquire().await.map_err(|_| ShipError::Lost)?;
        let stream = Arc::new(self.packer.stream(&layer.0.snapshot, layer.1));
        let maker: Arc<dyn BlobMaker> = stream.clone();
        match self.client.push_made(to, known, &maker, mount_from, progress).await? {
            Streamed::There(_) => Ok(None),
            Streamed::Sent(measured) => {
                let noting = tokio::task::spawn_blocking(move || stream.sent(measured));
                Ok(noting.await.map_err(|_| ShipError::Lost)??)
            }
            Streamed::Unfit(_) => {
                let blob = self.pack(layer).await?;
                let source = BlobSource::File(self.packer.content().blob_path(blob.descriptor.digest));
                self.client
                    .push_blob(to, &blob.descriptor, source, mount_from, progress)
                    .await?;
                Ok(Some(blob))
            }
        }
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
