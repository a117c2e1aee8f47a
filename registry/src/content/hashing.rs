//! Hashing on a thread of its own, for streams that are long enough to be worth one.
//!
//! Hashing costs about 0.6 s a gigabyte, several times that without SHA instructions. A stream's first
//! megabyte is hashed where it passes: most blobs are smaller, and a thread would cost more than it saves.

use std::sync::mpsc;
use std::thread::JoinHandle;

use crate::oci::{Digest, Hasher};

/// Bytes hashed in place before a thread is started, and the size of the pieces sent to it.
const PIECE: usize = 1 << 20;

/// Pieces waiting for the thread; bounds the memory to a few megabytes.
const WAITING: usize = 2;

/// Digests a stream; in the background once it is long.
pub(super) enum StreamHasher {
    /// In place; `before_thread` counts down the bytes until a thread is tried, once.
    Here {
        hasher: Hasher,
        before_thread: Option<usize>,
    },
    /// On a thread.
    There(Background),
}

impl StreamHasher {
    pub(super) fn new() -> Self {
        Self::Here {
            hasher: Hasher::new(),
            before_thread: Some(PIECE),
        }
    }

    /// Adds bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Here { hasher, before_thread } => {
                hasher.update(bytes);
                *before_thread = match *before_thread {
                    Some(left) if left <= bytes.len() => {
                        if let Some(background) = Background::start(hasher) {
                            *self = Self::There(background);
                            return;
                        }
                        None
                    }
                    left => left.map(|left| left - bytes.len()),
                };
            }
            Self::There(background) => background.update(bytes),
        }
    }

    /// Ends and returns the digest of all bytes added.
    pub(super) fn finish(self) -> Digest {
        match self {
            Self::Here { hasher, .. } => hasher.finish(),
            Self::There(background) => background.finish(),
        }
    }
}

pub(super) struct Background {
    piece: Vec<u8>,
    full: mpsc::SyncSender<Vec<u8>>,
    empty: mpsc::Receiver<Vec<u8>>,
    thread: JoinHandle<Hasher>,
}

impl Background {
    /// Continues `hasher` on a thread; `None` where a second thread cannot be had or cannot help.
    fn start(hasher: &Hasher) -> Option<Self> {
        if std::thread::available_parallelism().map_or(1, usize::from) == 1 {
            return None;
        }
        let mut hasher = hasher.clone();
        let (full, pieces) = mpsc::sync_channel::<Vec<u8>>(WAITING);
        let (done, empty) = mpsc::channel();
        let run = move || {
            for mut piece in pieces {
                hasher.update(&piece);
                piece.clear();
                // Nobody takes buffers back once the stream has ended.
                let _stream_ended = done.send(piece);
            }
            hasher
        };
        let thread = std::thread::Builder::new().name("hash".to_owned()).spawn(run).ok()?;
        Some(Self {
            piece: Vec::with_capacity(PIECE),
            full,
            empty,
            thread,
        })
    }

    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE - self.piece.len()));
            self.piece.extend_from_slice(now);
            bytes = later;
            if self.piece.len() == PIECE {
                let next = self.empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(PIECE));
                self.send(next);
            }
        }
    }

    fn send(&mut self, next: Vec<u8>) {
        // Refused only if the thread panicked, which `finish` passes on.
        let _panicked = self.full.send(std::mem::replace(&mut self.piece, next));
    }

    fn finish(mut self) -> Digest {
        self.send(Vec::new());
        drop(self.full);
        match self.thread.join() {
            Ok(hasher) => hasher.finish(),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}
