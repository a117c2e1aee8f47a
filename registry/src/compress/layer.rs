//! A layer on its way from a tar stream to whoever takes it, mostly the content store, hashed on both sides in one pass.

use std::io::{self, Write};

use super::{Compression, Encoder};
use crate::content::{ContentError, ContentStore, DigestWriter, Ingest, Measured};
use crate::oci::{DiffId, Digest};

/// What a layer has become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LayerBlob {
    /// Digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// Bytes of the uncompressed tar.
    pub uncompressed_size: u64,
    /// Digest of the blob.
    pub digest: Digest,
    /// Bytes of the blob.
    pub size: u64,
}

/// Takes a tar and writes a compressed layer, whoever keeps that.
#[must_use = "a layer must be finished"]
pub struct LayerWriter<W> {
    tar: DigestWriter<Encoder<W>>,
}

impl<W: Write> LayerWriter<W> {
    /// Starts a layer that is compressed on at most `threads` threads.
    pub fn new(out: W, compression: Compression, threads: usize) -> io::Result<Self> {
        let tar = DigestWriter::new(Encoder::new(out, compression, threads)?);
        Ok(Self { tar })
    }

    /// Writes what is left; returns the inner writer, not flushed, and the measure of the tar.
    pub fn finish(self) -> io::Result<(W, Measured)> {
        let (encoder, tar) = self.tar.finish();
        Ok((encoder.finish()?, tar))
    }
}

impl<W: Write> Write for LayerWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tar.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tar.flush()
    }
}

/// Takes a tar and leaves a compressed blob; dropped before [`commit`](Self::commit) it leaves nothing.
#[must_use = "dropping it throws the layer away"]
pub struct LayerIngest {
    layer: LayerWriter<Ingest>,
    store: ContentStore,
}

impl LayerIngest {
    /// Starts a layer that is compressed on at most `threads` threads.
    pub fn start(store: &ContentStore, compression: Compression, threads: usize) -> Result<Self, ContentError> {
        let layer = LayerWriter::new(store.ingest()?, compression, threads).map_err(|error| wrap(store, error))?;
        Ok(Self {
            layer,
            store: store.clone(),
        })
    }

    /// Publishes the blob.
    pub fn commit(self) -> Result<LayerBlob, ContentError> {
        let (ingest, tar) = self.layer.finish().map_err(|error| wrap(&self.store, error))?;
        let (digest, size) = ingest.commit(None)?;
        Ok(LayerBlob {
            diff_id: DiffId(tar.digest),
            uncompressed_size: tar.size,
            digest,
            size,
        })
    }
}

impl Write for LayerIngest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.layer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.layer.flush()
    }
}

fn wrap(store: &ContentStore, error: io::Error) -> ContentError {
    error
        .downcast()
        .unwrap_or_else(ContentError::io("compress a layer in", store.scratch()))
}
