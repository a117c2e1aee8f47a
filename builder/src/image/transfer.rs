//! Moving layers from where they are into the content store and into snapshots, in one pass each.
//!
//! A layer is kept, decompressed, unpacked and checked while it comes in. Nothing of it is published before its
//! digest and its DiffID are known to be right.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::Path;

use bytes::Bytes;
use registry::client::{Client, ClientError, ObjectStore};
use registry::compress::decoder;
use registry::content::{ContentStore, DigestReader, Ingest};
use registry::oci::{Descriptor, DiffId, Digest};
use snapshotter::layer::{UnpackMode, unpack};
use snapshotter::{ActiveSnapshot, Root, SnapshotName, Stacks};
use tokio::sync::mpsc;

use super::growth::{Allowance, Counted, Growing};
use super::layout::{self, LayoutError, blob_path};
use super::{LayerBlob, Origin, PullError};
use crate::progress::{Progress, StepId};
use crate::state_dir::{Flight, Flights};

/// Pieces of a blob between the network and the thread that unpacks it.
const QUEUE: usize = 16;

/// What moving layers takes.
#[derive(Clone)]
pub struct Transfer {
    /// Asks registries.
    pub client: Client,
    /// The stores of objects that blobs may be in, by their addresses.
    pub objects: HashMap<String, ObjectStore>,
    /// Where blobs are kept.
    pub content: ContentStore,
    /// Where layers are unpacked.
    pub stacks: Stacks,
    /// Where to tell what is fetched.
    pub progress: Progress,
    /// What keeps other processes from fetching the same layer.
    pub flights: Flights,
    /// What a layer may take at most.
    pub allowance: Allowance,
}

/// A layer that has been unpacked on its own.
pub(super) struct Alone {
    pub(super) snapshot: ActiveSnapshot,
    /// Whether it means something else with other layers below it.
    pub(super) leans: bool,
}

impl Transfer {
    /// Makes sure that a blob is in the content store; shown as a part of `step`.
    pub(super) async fn ensure_blob(
        &self,
        from: &Origin,
        blob: &Descriptor,
        step: Option<StepId>,
    ) -> Result<(), PullError> {
        if self.content.size(blob.digest)?.is_some() {
            return Ok(());
        }
        let kept = match from {
            Origin::Directory(directory) => self.copy_blob(directory, blob).await?,
            from => self.fetch_blob(from, blob, step).await?,
        };
        kept.commit(Some(blob.digest))?;
        Ok(())
    }

    /// Waits until no other process makes a snapshot, and returns the right to make it; `None` if it is there.
    pub(super) async fn enter(&self, snapshot: &SnapshotName) -> Result<Option<Flight>, PullError> {
        let is_there = || Ok::<_, PullError>(self.stacks.store().stat(snapshot)?.is_some());
        if is_there()? {
            return Ok(None);
        }
        let flight = self.flights.enter(snapshot.as_str()).await?;
        Ok((!is_there()?).then_some(flight))
    }

    /// Unpacks one layer into a directory of its own, fetching its blob on the way if the store lacks it.
    pub(super) async fn unpack_alone(
        &self,
        from: &Origin,
        layer: &LayerBlob,
        step: Option<StepId>,
    ) -> Result<Alone, PullError> {
        let is_stored = self.content.size(layer.descriptor.digest)?.is_some();
        match from {
            Origin::Registry(_) | Origin::Objects(_) if !is_stored => {
                self.unpack_while_fetching(from, layer, step).await
            }
            Origin::Registry(_) | Origin::Directory(_) | Origin::Objects(_) => {
                self.ensure_blob(from, &layer.descriptor, step).await?;
                let (content, snapshot, layer) = (self.content.clone(), self.stacks.store().prepare()?, layer.clone());
                let allowance = self.allowance;
                let stored = move || {
                    let blob = content.open_blob(&layer.descriptor)?;
                    let unpacked = unpack_stream(blob, snapshot, &layer, &allowance);
                    unpacked.map_err(|error| blame(&content, layer.descriptor.digest, error))
                };
                tokio::task::spawn_blocking(stored).await.map_err(|_| PullError::Lost)?
            }
        }
    }

    async fn unpack_while_fetching(
        &self,
        from: &Origin,
        layer: &LayerBlob,
        step: Option<StepId>,
    ) -> Result<Alone, PullError> {
        let (content, snapshot, descriptor) = (self.content.clone(), self.stacks.store().prepare()?, &layer.descriptor);
        let (mut sender, receiver) = mpsc::channel(QUEUE);
        let unpacking = tokio::task::spawn_blocking({
            let (layer, allowance) = (layer.clone(), self.allowance);
            move || {
                let mut kept = Kept {
                    pieces: Pieces::of(receiver),
                    ingest: content.ingest()?,
                };
                let alone = unpack_stream(&mut kept, snapshot, &layer, &allowance)?;
                kept.drain().map_err(PullError::Keep)?;
                kept.ingest.commit(Some(layer.descriptor.digest))?;
                Ok(alone)
            }
        });
        let fetched = self.fetch(from, descriptor, &mut sender, step).await;
        drop(sender);
        let unpacked = unpacking.await.map_err(|_| PullError::Lost)?;
        first_failure(fetched, unpacked)
    }

    async fn fetch_blob(&self, from: &Origin, blob: &Descriptor, step: Option<StepId>) -> Result<Ingest, PullError> {
        let content = self.content.clone();
        let (mut sender, receiver) = mpsc::channel(QUEUE);
        let keeping = tokio::task::spawn_blocking(move || {
            let mut ingest = content.ingest()?;
            io::copy(&mut Pieces::of(receiver), &mut ingest).map_err(PullError::Keep)?;
            Ok(ingest)
        });
        let fetched = self.fetch(from, blob, &mut sender, step).await;
        drop(sender);
        let kept = keeping.await.map_err(|_| PullError::Lost)?;
        first_failure(fetched, kept)
    }

    async fn copy_blob(&self, from: &Path, blob: &Descriptor) -> Result<Ingest, PullError> {
        let (content, path) = (self.content.clone(), blob_path(from, blob.digest));
        let copying = tokio::task::spawn_blocking(move || {
            let file = File::open(&path).map_err(|source| LayoutError::Read {
                path: path.clone(),
                source,
            })?;
            Ok(layout::keep(file, path, &content)?)
        });
        copying.await.map_err(|_| PullError::Lost)?
    }

    async fn fetch(
        &self,
        from: &Origin,
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
        match from {
            Origin::Registry(reference) => Ok(self.client.fetch_blob(reference, blob, sink, &report).await?),
            Origin::Objects(address) => {
                let store = self.objects.get(address);
                let store = store.ok_or_else(|| PullError::Elsewhere(address.clone()))?;
                Ok(store.fetch_blob(blob, sink, &report).await?)
            }
            Origin::Directory(directory) => Err(PullError::Elsewhere(directory.display().to_string())),
        }
    }
}

/// Returns what became of a blob that one side fetched and the other took in: of two failures the one that came first.
fn first_failure<T>(fetched: Result<(), PullError>, taken: Result<T, PullError>) -> Result<T, PullError> {
    match (fetched, taken) {
        // The other side saw only the end of the stream.
        (Err(error), _) if !matches!(error, PullError::Client(ClientError::Sink { .. })) => Err(error),
        (_, taken) => taken,
    }
}

/// Returns why a blob of the store could not be unpacked: a damaged one shows in many ways before its digest is known.
pub(super) fn blame(content: &ContentStore, blob: Digest, error: PullError) -> PullError {
    match content.verify(blob) {
        Err(damage) if damage.is_damage() => damage.into(),
        _ => error,
    }
}

/// Decompresses, unpacks and checks a layer. Reads to the end.
fn unpack_stream(
    blob: impl Read + Send,
    snapshot: ActiveSnapshot,
    layer: &LayerBlob,
    allowance: &Allowance,
) -> Result<Alone, PullError> {
    let into = snapshot.root()?;
    let leans = unpack_checked(blob, &into, UnpackMode::Upper, layer, allowance)?;
    Ok(Alone { snapshot, leans })
}

/// Unpacks a layer and checks that it is the one that is wanted; returns whether it leans on what lies below.
pub(super) fn unpack_checked(
    blob: impl Read + Send,
    into: &Root,
    mode: UnpackMode,
    layer: &LayerBlob,
    allowance: &Allowance,
) -> Result<bool, PullError> {
    let digest = layer.descriptor.digest;
    let damaged = |source| PullError::Decompress {
        layer: digest.to_string(),
        source,
    };
    let mut blob = Counted::new(blob);
    let read = blob.read_so_far();
    let growing = Growing::new(decoder(&mut blob).map_err(damaged)?, read, *allowance, into);
    let mut tar = DigestReader::new(growing);
    let unpacked = unpack(&mut tar, into, mode, &allowance.limits).map_err(|source| PullError::Unpack {
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

impl Pieces {
    fn of(receiver: mpsc::Receiver<Bytes>) -> Self {
        Self {
            receiver,
            piece: Bytes::new(),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_and_not_the_broken_stream_that_follows_from_it() {
        let sink = || {
            PullError::Client(ClientError::Sink {
                digest: Digest::of(b""),
                source: io::ErrorKind::BrokenPipe.into(),
            })
        };
        let full = || PullError::Keep(io::ErrorKind::StorageFull.into());
        assert!(matches!(
            first_failure::<()>(Err(sink()), Err(full())),
            Err(PullError::Keep(_))
        ));
        let broken = || PullError::NotFound("it".to_owned());
        assert!(matches!(
            first_failure::<()>(Err(broken()), Err(PullError::Lost)),
            Err(PullError::NotFound(_))
        ));
    }
}
