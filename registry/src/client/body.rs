//! Request bodies that can be opened again for every try.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::error::ClientError;
use super::made::Making;
use super::meter::Meter;

/// How much of a file is read at once, in bytes.
const READ_SIZE: usize = 256 << 10;

/// Where the bytes of a blob to send are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BlobSource {
    /// In a file, which must not change meanwhile.
    File(PathBuf),
    /// In memory.
    Bytes(Bytes),
}

/// The body of a request.
#[derive(Clone, Debug)]
pub(super) enum Payload<'a> {
    /// None.
    Empty,
    /// Small, in memory.
    Bytes(Bytes),
    /// A part of a blob, counted in bytes.
    Part(&'a BlobSource, Range<u64>),
    /// A blob that is made meanwhile; how long it is nobody knows.
    Made(&'a Making),
}

impl Payload<'_> {
    /// Returns the length in bytes, if it is known.
    pub(super) fn len(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Part(_, range) => Some(range.end - range.start),
            Self::Made(_) => None,
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
                let part = file.take(range.end - range.start);
                let stream = ReaderStream::with_capacity(part, READ_SIZE);
                reqwest::Body::wrap_stream(stream.map(move |piece| match piece {
                    Ok(piece) => {
                        meter.count(piece.len());
                        Ok(piece)
                    }
                    Err(error) => Err(meter.fail(error)),
                }))
            }
            Self::Made(making) => making.open(meter),
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
