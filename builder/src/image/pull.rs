//! Pulling a base: layers are fetched, kept, decompressed and unpacked in one pass each, all at once.
//!
//! Each layer is unpacked into a directory of its own while it downloads, whatever lies below it. Only a
//! layer that leans on lower ones (an entry whose parent it does not bring along) is unpacked again, in
//! order, through a mounted view of those below: then the kernel resolves what it means.

use std::io::{self, Read, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join_all;
use registry::client::ClientError;
use registry::compress::decoder;
use registry::content::{ContentError, ContentStore, DigestReader, Ingest};
use registry::oci::{Descriptor, DiffId};
use snapshotter::layer::{Limits, UnpackError, UnpackMode, unpack};
use snapshotter::{ActiveSnapshot, FsError, Root, SnapshotName, StackError, Stacks, Writes};
use tokio::sync::{Semaphore, mpsc};

use super::base::{BaseError, BaseImage, BaseLayer};
use super::layout::LayoutError;
use super::resolve::BaseImages;
use crate::progress::StepId;

/// Layers of one image that are fetched at the same time.
const PARALLEL: usize = 6;
/// Pieces of a blob between the network and the thread that unpacks it.
const QUEUE: usize = 16;

/// Why an image could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The registry does not have it.
    #[error("image `{0}` was not found")]
    NotFound(String),
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
    /// The unpacking thread ended without a word: a bug.
    #[error("a layer was lost")]
    Lost,
}

/// A layer that has been unpacked on its own.
struct Alone {
    snapshot: ActiveSnapshot,
    /// Whether it means something else with other layers below it.
    leans: bool,
}

impl BaseImages {
    /// Returns whether every layer of an image has its snapshot.
    pub fn is_unpacked(&self, base: &BaseImage) -> bool {
        base.unpacked.initialized()
            || base
                .layers
                .iter()
                .all(|layer| matches!(self.stacks.store().stat(&layer.snapshot), Ok(Some(_))))
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
        if self.content.size(layer.descriptor.digest)?.is_some() {
            return Ok(());
        }
        let (mut sender, receiver) = mpsc::channel(QUEUE);
        let (content, descriptor) = (self.content.clone(), layer.descriptor.clone());
        let keeping = tokio::task::spawn_blocking(move || {
            let mut ingest = content.ingest()?;
            let mut pieces = Pieces {
                receiver,
                piece: Bytes::new(),
            };
            io::copy(&mut pieces, &mut ingest).map_err(PullError::Keep)?;
            Ok::<_, PullError>(ingest)
        });
        self.fetch(base, &descriptor, &mut sender, step).await?;
        drop(sender);
        let ingest = keeping.await.map_err(|_| PullError::Lost)??;
        ingest.commit(Some(descriptor.digest))?;
        Ok(())
    }

    async fn pull(&self, base: &Arc<BaseImage>, step: Option<StepId>) -> Result<(), PullError> {
        let permits = Semaphore::new(PARALLEL);
        let alone = base.layers.iter().enumerate().map(|(position, layer)| {
            let permits = &permits;
            async move {
                if self.stacks.store().stat(&layer.snapshot)?.is_some() {
                    return Ok::<_, PullError>(None);
                }
                let _permit = permits.acquire().await.map_err(|_| PullError::Lost)?;
                let alone = self.unpack_alone(base, layer, step).await?;
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
            let (base, content, stacks) = (Arc::clone(base), self.content.clone(), self.stacks.clone());
            let merged = move || unpack_merged(&content, &stacks, &base.layers[..=position]);
            tokio::task::spawn_blocking(merged)
                .await
                .map_err(|_| PullError::Lost)??;
        }
        Ok(())
    }

    /// Unpacks one layer into a directory of its own, fetching its blob on the way if the store lacks it.
    async fn unpack_alone(
        &self,
        base: &BaseImage,
        layer: &BaseLayer,
        step: Option<StepId>,
    ) -> Result<Alone, PullError> {
        let snapshot = self.stacks.store().prepare()?;
        let (content, layer) = (self.content.clone(), layer.clone());
        if content.size(layer.descriptor.digest)?.is_some() {
            let stored = move || {
                let blob = content.open_blob(&layer.descriptor)?;
                unpack_stream(blob, snapshot, &layer)
            };
            return tokio::task::spawn_blocking(stored).await.map_err(|_| PullError::Lost)?;
        }
        let (mut sender, receiver) = mpsc::channel(QUEUE);
        let descriptor = layer.descriptor.clone();
        let unpacking = tokio::task::spawn_blocking(move || {
            let mut kept = Kept {
                pieces: Pieces {
                    receiver,
                    piece: Bytes::new(),
                },
                ingest: content.ingest()?,
            };
            let alone = unpack_stream(&mut kept, snapshot, &layer)?;
            kept.drain().map_err(PullError::Keep)?;
            kept.ingest.commit(Some(layer.descriptor.digest))?;
            Ok(alone)
        });
        let fetched = self.fetch(base, &descriptor, &mut sender, step).await;
        drop(sender);
        let unpacked = unpacking.await.map_err(|_| PullError::Lost)?;
        match (fetched, unpacked) {
            // The network broke first, and the other side saw only the end of the stream.
            (Err(error), _) if !matches!(error, PullError::Client(ClientError::Sink { .. })) => Err(error),
            (_, unpacked) => unpacked,
        }
    }

    async fn fetch(
        &self,
        base: &BaseImage,
        blob: &Descriptor,
        sink: &mut mpsc::Sender<Bytes>,
        step: Option<StepId>,
    ) -> Result<(), PullError> {
        let (name, total) = (blob.digest.to_string(), Some(blob.size));
        let report = |current| {
            if let Some(step) = step {
                self.progress
                    .transfer(step, name.as_str(), current, total, current == blob.size);
            }
        };
        Ok(self.client.fetch_blob(&base.reference, blob, sink, &report).await?)
    }
}

/// Decompresses, unpacks and checks a layer. Reads to the end.
fn unpack_stream(blob: impl Read + Send, snapshot: ActiveSnapshot, layer: &BaseLayer) -> Result<Alone, PullError> {
    let into = snapshot.root()?;
    let leans = unpack_checked(blob, &into, UnpackMode::Upper, layer)?;
    Ok(Alone { snapshot, leans })
}

/// Unpacks the topmost of `layers` through a view of those below it.
fn unpack_merged(content: &ContentStore, stacks: &Stacks, layers: &[BaseLayer]) -> Result<(), PullError> {
    let Some((layer, below)) = layers.split_last() else {
        return Ok(());
    };
    let below: Vec<SnapshotName> = below.iter().map(|layer| layer.snapshot.clone()).collect();
    let workspace = stacks.workspace(&below, Writes::NewFiles)?;
    let blob = content.open_blob(&layer.descriptor)?;
    unpack_checked(blob, workspace.root()?, UnpackMode::Merged, layer)?;
    Ok(workspace.commit(&layer.snapshot)?)
}

fn unpack_checked(blob: impl Read + Send, into: &Root, mode: UnpackMode, layer: &BaseLayer) -> Result<bool, PullError> {
    let digest = layer.descriptor.digest;
    let damaged = |source| PullError::Decompress {
        layer: digest.to_string(),
        source,
    };
    let mut blob = blob;
    let mut tar = DigestReader::new(decoder(&mut blob).map_err(damaged)?);
    let unpacked = unpack(&mut tar, into, mode, &Limits::default()).map_err(|source| PullError::Unpack {
        layer: digest.to_string(),
        source,
    })?;
    let actual = DiffId(tar.finish().map_err(damaged)?.digest);
    if actual != layer.diff_id {
        let (expected, actual) = (layer.diff_id.0.to_string(), actual.0.to_string());
        return Err(PullError::DiffId {
            layer: digest.to_string(),
            expected,
            actual,
        });
    }
    Ok(unpacked.needs_merged)
}

/// The pieces of a blob as a reader, on the blocking side.
struct Pieces {
    receiver: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len());
        buffer[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}

/// A stream that is kept in the store while it is read.
struct Kept {
    pieces: Pieces,
    ingest: Ingest,
}

impl Kept {
    /// Reads what nobody asked for: padding behind the compressed stream belongs to the blob too.
    fn drain(&mut self) -> io::Result<()> {
        io::copy(&mut self.pieces, &mut self.ingest).map(drop)
    }
}

impl Read for Kept {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.pieces.read(buffer)?;
        self.ingest.write_all(&buffer[..length])?;
        Ok(length)
    }
}
