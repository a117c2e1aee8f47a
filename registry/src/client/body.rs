//! Request bodies that can be opened again for every try, and a meter that sees them move.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::error::ClientError;

/// How much of a file is read at once, in bytes.
const READ_SIZE: usize = 256 << 10;

/// How often the meter is read while a request is under way.
const TICK: Duration = Duration::from_millis(100);

/// Where the bytes of a blob to send are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BlobSource {
    /// In a file, which must not change meanwhile.
    File(PathBuf),
    /// In memory.
    Bytes(Bytes),
}

/// What is told how many bytes of a blob are transferred; the number falls when a transfer starts over.
pub type Progress<'a> = &'a (dyn Fn(u64) + Send + Sync);

/// The body of a request.
#[derive(Clone, Debug)]
pub(super) enum Payload<'a> {
    /// None.
    Empty,
    /// Small, in memory.
    Bytes(Bytes),
    /// A part of a blob, counted in bytes.
    Part(&'a BlobSource, Range<u64>),
}

/// Counts the bytes of one request's body as they leave.
#[derive(Clone, Default, Debug)]
pub(super) struct Meter(Arc<Mutex<Reading>>);

#[derive(Debug)]
struct Reading {
    sent: u64,
    moved: Instant,
    failure: Option<io::Error>,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            sent: 0,
            moved: Instant::now(),
            failure: None,
        }
    }
}

/// How long nothing may move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Patience {
    /// While bytes are on their way.
    pub(super) idle: Duration,
    /// For the answer, once the body is sent: a registry may first digest and move gigabytes.
    pub(super) answer: Duration,
}

impl Payload<'_> {
    /// Returns the length in bytes.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Part(_, range) => range.end - range.start,
        }
    }

    /// Opens the body; what leaves it is counted by `meter`.
    pub(super) async fn open(&self, meter: &Meter) -> Result<reqwest::Body, ClientError> {
        Ok(match self {
            Self::Empty => reqwest::Body::default(),
            Self::Bytes(bytes) => bytes.clone().into(),
            Self::Part(BlobSource::Bytes(bytes), range) => {
                let part = bytes.slice(range.start as usize..range.end as usize);
                let meter = meter.clone();
                let pieces: Vec<Bytes> = (0..part.len())
                    .step_by(READ_SIZE)
                    .map(|at| part.slice(at..part.len().min(at + READ_SIZE)))
                    .collect();
                reqwest::Body::wrap_stream(futures_util::stream::iter(pieces).map(move |piece| {
                    meter.count(piece.len());
                    Ok::<_, io::Error>(piece)
                }))
            }
            Self::Part(BlobSource::File(path), range) => {
                let failed = |source| ClientError::Source {
                    path: path.clone(),
                    source,
                };
                let mut file = tokio::fs::File::open(path).await.map_err(failed)?;
                file.seek(io::SeekFrom::Start(range.start)).await.map_err(failed)?;
                let meter = meter.clone();
                let stream = ReaderStream::with_capacity(file.take(self.len()), READ_SIZE);
                reqwest::Body::wrap_stream(stream.map(move |piece| match piece {
                    Ok(piece) => {
                        meter.count(piece.len());
                        Ok(piece)
                    }
                    // The connection hears only that the body ended; the meter keeps the reason.
                    Err(e) => {
                        let kind = e.kind();
                        meter.reading().failure = Some(e);
                        Err(io::Error::from(kind))
                    }
                }))
            }
        })
    }
}

impl BlobSource {
    /// Returns the length in bytes.
    pub(super) async fn len(&self) -> Result<u64, ClientError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
            Self::File(path) => match tokio::fs::metadata(path).await {
                Ok(metadata) => Ok(metadata.len()),
                Err(source) => Err(ClientError::Source {
                    path: path.clone(),
                    source,
                }),
            },
        }
    }
}

impl Meter {
    /// Drives `work` to its end, unless for too long nothing moves; `body` is the length of what it sends.
    pub(super) async fn watch<F: Future>(
        &self,
        work: F,
        body: u64,
        patience: Patience,
        progress: Option<Progress<'_>>,
    ) -> Result<F::Output, Duration> {
        let mut work = pin!(work);
        let report = |sent| progress.iter().for_each(|progress| progress(sent));
        loop {
            let outcome = tokio::time::timeout(TICK, &mut work).await;
            let (sent, idle) = {
                let reading = self.reading();
                (reading.sent, reading.moved.elapsed())
            };
            report(sent);
            if let Ok(output) = outcome {
                return Ok(output);
            }
            let limit = if sent >= body { patience.answer } else { patience.idle };
            if idle > limit {
                return Err(limit);
            }
        }
    }

    /// Returns why the body could not be read, if that is what went wrong.
    pub(super) fn failure(&self) -> Option<io::Error> {
        self.reading().failure.take()
    }

    fn count(&self, bytes: usize) {
        let mut reading = self.reading();
        reading.sent += bytes as u64;
        reading.moved = Instant::now();
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
