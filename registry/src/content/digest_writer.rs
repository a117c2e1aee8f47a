//! A writer that measures what passes through it: digest and size.

use std::io::{self, Write};

use super::hashing::StreamHasher;
use crate::oci::Digest;

/// The digest and the size of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Measured {
    /// The digest of all bytes.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
}

/// Passes bytes on and takes their digest; stacked around an encoder it gives the DiffID, under it the
/// digest of the blob.
pub struct DigestWriter<W> {
    inner: W,
    hasher: StreamHasher,
    size: u64,
}

impl<W: Write> DigestWriter<W> {
    /// Measures everything written from now on.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: StreamHasher::new(),
            size: 0,
        }
    }

    /// Returns how many bytes have passed so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the inner writer and the measure of all that was written; nothing is flushed.
    pub fn finish(self) -> (W, Measured) {
        let measured = Measured {
            digest: self.hasher.finish(),
            size: self.size,
        };
        (self.inner, measured)
    }
}

impl<W: Write> Write for DigestWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
