//! Blobs whose bytes are made while they are sent: nobody keeps them, and whoever needs them again makes them again.
//!
//! A maker runs on a blocking thread and writes into a short queue, from which the request's body takes: as fast as the
//! network does, the maker waits meanwhile. A request that is sent anew makes the bytes anew.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use tokio::sync::mpsc;

use super::meter::Meter;
use crate::content::{DigestWriter, Measured};

/// How many bytes go into the queue as one piece.
const PIECE: usize = 256 << 10;

/// Pieces that wait for the network.
const QUEUE: usize = 4;

/// Makes the bytes of a blob, the same ones every time.
pub trait BlobMaker: fmt::Debug + Send + Sync {
    /// Writes all bytes to `out`, and gives up when that fails: nobody wants the rest. Blocks.
    ///
    /// # Errors
    /// If the bytes cannot be made, or `out` does not take them.
    fn make(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// A blob in the making, as the body of a request.
#[derive(Debug)]
pub(super) struct Making {
    maker: Arc<dyn BlobMaker>,
    /// What the body that was opened last has become.
    last: Mutex<Arc<OnceLock<Measured>>>,
}

impl Making {
    pub(super) fn by(maker: &Arc<dyn BlobMaker>) -> Self {
        Self {
            maker: Arc::clone(maker),
            last: Mutex::default(),
        }
    }

    /// Returns the digest and size of what was sent; `None` unless all of it was.
    pub(super) fn measured(&self) -> Option<Measured> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get().copied()
    }

    /// Begins to make the bytes; what leaves is counted by `meter`.
    pub(super) fn open(&self, meter: &Meter) -> reqwest::Body {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let measured = Arc::new(OnceLock::new());
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&measured);
        let maker = Arc::clone(&self.maker);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = send(&*maker, &sender, &measured) {
                // Whoever has closed the queue does not want to hear why.
                let _unheard = sender.blocking_send(Err(error));
            }
        });
        let pieces = stream::unfold((receiver, meter.clone()), |(mut receiver, meter)| async move {
            meter.wait();
            let piece = match receiver.recv().await {
                Some(Ok(piece)) => {
                    meter.count(piece.len());
                    Ok(piece)
                }
                Some(Err(error)) => Err(meter.fail(error)),
                None => {
                    meter.end();
                    return None;
                }
            };
            Some((piece, (receiver, meter)))
        });
        reqwest::Body::wrap_stream(pieces)
    }
}

/// Makes a blob from its first byte to its last, and notes what it has become before the queue is closed.
fn send(
    maker: &dyn BlobMaker,
    queue: &mpsc::Sender<io::Result<Bytes>>,
    measured: &OnceLock<Measured>,
) -> io::Result<()> {
    let pieces = Pieces {
        filling: BytesMut::new(),
        queue,
    };
    let mut out = DigestWriter::new(pieces);
    maker.make(&mut out)?;
    let (mut pieces, all) = out.finish();
    pieces.flush()?;
    // Set once: every body has one of its own.
    let _first = measured.set(all);
    Ok(())
}

/// Cuts what is written to it into pieces for the queue.
struct Pieces<'a> {
    filling: BytesMut,
    queue: &'a mpsc::Sender<io::Result<Bytes>>,
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.filling.reserve(PIECE - self.filling.len());
        let taken = bytes.len().min(PIECE - self.filling.len());
        self.filling.extend_from_slice(&bytes[..taken]);
        if self.filling.len() == PIECE {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.filling.is_empty() {
            return Ok(());
        }
        let piece = self.filling.split().freeze();
        let sent = self.queue.blocking_send(Ok(piece));
        sent.map_err(|_closed| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_of_one_size_whatever_the_sizes_of_writes() {
        let (sender, mut receiver) = mpsc::channel(9);
        let mut pieces = Pieces {
            filling: BytesMut::new(),
            queue: &sender,
        };
        for length in [1, PIECE - 2, 3, 2 * PIECE, 0, 7] {
            pieces.write_all(&vec![7; length]).unwrap();
        }
        pieces.flush().unwrap();
        drop(sender);
        let lengths: Vec<usize> = std::iter::from_fn(|| receiver.blocking_recv())
            .map(|piece| piece.unwrap().len())
            .collect();
        assert_eq!(lengths, [PIECE, PIECE, PIECE, 9]);
    }

    #[test]
    fn who_makes_for_nobody_is_told_so() {
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        let mut pieces = Pieces {
            filling: BytesMut::new(),
            queue: &sender,
        };
        let told = pieces.write_all(&vec![7; PIECE]).unwrap_err();
        assert_eq!(told.kind(), io::ErrorKind::BrokenPipe);
    }
}
