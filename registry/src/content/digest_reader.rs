//! A reader that measures what passes through it: digest and size.

use std::io::{self, Read};

use super::Measured;
use super::hashing::StreamHasher;

/// Bytes read at once when a reader is drained.
const DRAIN: usize = 128 << 10;

/// Passes bytes on and takes their digest; around a decoder it gives the DiffID of a pulled layer.
pub struct DigestReader<R> {
    inner: R,
    hasher: StreamHasher,
    size: u64,
}

impl<R: Read> DigestReader<R> {
    /// Measures everything read from now on.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            hasher: StreamHasher::new(),
            size: 0,
        }
    }

    /// Reads what the consumer left unread and returns the measure of the whole stream.
    ///
    /// A tar reader stops at the archive's end marker; the DiffID covers the padding behind it.
    pub fn finish(mut self) -> io::Result<Measured> {
        drain(&mut self)?;
        Ok(self.measured())
    }

    /// Returns how many bytes have passed so far.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Measures up to where the stream stands; what is read later counts as a stream of its own.
    pub(super) fn measured(&mut self) -> Measured {
        let hasher = std::mem::replace(&mut self.hasher, StreamHasher::new());
        Measured {
            digest: hasher.finish(),
            size: std::mem::take(&mut self.size),
        }
    }
}

impl<R: Read> Read for DigestReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.size += read as u64;
        Ok(read)
    }
}

/// Reads to the end and forgets the bytes.
pub(super) fn drain(reader: &mut impl Read) -> io::Result<()> {
    let mut buffer = vec![0; DRAIN];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
