//! Layers on their way out while later steps still run: packed as soon as their snapshot is committed, and
//! pushed as soon as they are packed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use registry::client::{BlobSource, Client, ClientError};
use registry::oci::Reference;
use snapshotter::SnapshotName;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::image::{LayerBlob, LayerError, LayerFormat, LayerPacker};

/// Packs and pushes each layer of a build once.
pub(super) struct LayerTasks {
    packer: LayerPacker,
    /// In which formats layers are wanted, and where each goes at once: nowhere if it is not pushed.
    formats: Vec<(LayerFormat, Vec<Reference>)>,
    client: Client,
    running: Mutex<Running>,
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
    /// It could not be pushed.
    #[error(transparent)]
    Push(#[from] ClientError),
    /// The task ended without a word: a bug.
    #[error("a layer was lost")]
    Lost,
}

impl LayerTasks {
    pub(super) fn new(packer: LayerPacker, formats: Vec<(LayerFormat, Vec<Reference>)>, client: Client) -> Self {
        Self {
            packer,
            formats,
            client,
            running: Mutex::default(),
        }
    }

    /// Begins with a layer in all formats, unless it has begun.
    pub(super) fn begin(&self, snapshot: &SnapshotName) {
        for (format, destinations) in &self.formats {
            self.begin_format(snapshot, *format, destinations);
        }
    }

    /// Waits for a layer in a format, begun now if it was not.
    pub(super) async fn finish(
        &self,
        snapshot: &SnapshotName,
        format: LayerFormat,
    ) -> Result<LayerBlob, Arc<ShipError>> {
        let mut outcome = self.begin_format(snapshot, format, &[]);
        match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or_else(|| Err(Arc::new(ShipError::Lost))),
            Err(_gone) => Err(Arc::new(ShipError::Lost)),
        }
    }

    fn begin_format(
        &self,
        snapshot: &SnapshotName,
        format: LayerFormat,
        destinations: &[Reference],
    ) -> watch::Receiver<Outcome> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = running.outcomes.get(&(snapshot.clone(), format)) {
            return outcome.clone();
        }
        let (sender, receiver) = watch::channel(None);
        running.outcomes.insert((snapshot.clone(), format), receiver.clone());
        let (packer, snapshot) = (self.packer.clone(), snapshot.clone());
        let (client, destinations) = (self.client.clone(), destinations.to_vec());
        running.tasks.spawn(async move {
            let outcome = ship(packer, format, snapshot, client, destinations).await;
            sender.send_replace(Some(outcome.map_err(Arc::new)));
        });
        receiver
    }
}

async fn ship(
    packer: LayerPacker,
    format: LayerFormat,
    snapshot: SnapshotName,
    client: Client,
    destinations: Vec<Reference>,
) -> Result<LayerBlob, ShipError> {
    let content = packer.content().clone();
    let blob = tokio::task::spawn_blocking(move || packer.blob(&snapshot, format))
        .await
        .map_err(|_| ShipError::Lost)??;
    for destination in destinations {
        let source = BlobSource::File(content.blob_path(blob.descriptor.digest));
        client
            .push_blob(&destination, &blob.descriptor, source, &[], &|_| {})
            .await?;
    }
    Ok(blob)
}
