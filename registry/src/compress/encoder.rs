//! The writing side.

use std::io::{self, Write};

use super::Compression;
use super::gzip::{self, Deflate};
use super::pipeline::Pipeline;
use super::zstd_frame::ZstdFrame;

/// Compresses what is written to it; without [`finish`](Self::finish) the result is cut short.
///
/// Flushing reaches the inner writer but ends no block, because that would show in the bytes.
#[must_use = "an encoder must be finished"]
pub struct Encoder<W> {
    form: Form,
    inner: W,
}

enum Form {
    Plain,
    Gzip {
        blocks: Pipeline<Deflate>,
        crc: crc32fast::Hasher,
        size: u64,
    },
    Zstd(Pipeline<ZstdFrame>),
}

impl<W: Write> Encoder<W> {
    /// Starts a stream; `threads` more than one compress blocks beside the caller's thread.
    pub fn new(mut inner: W, compression: Compression, threads: usize) -> io::Result<Self> {
        let form = match compression {
            Compression::None => Form::Plain,
            Compression::Gzip { level } => {
                inner.write_all(&gzip::HEADER)?;
                Form::Gzip {
                    blocks: Pipeline::new(Deflate { level }, threads),
                    crc: crc32fast::Hasher::new(),
                    size: 0,
                }
            }
            Compression::Zstd { level } => Form::Zstd(Pipeline::new(ZstdFrame { level }, threads)),
        };
        Ok(Self { form, inner })
    }

    /// Writes what is left and returns the inner writer, not flushed.
    pub fn finish(self) -> io::Result<W> {
        let mut inner = self.inner;
        match self.form {
            Form::Plain => {}
            Form::Gzip { blocks, crc, size } => {
                blocks.finish(&mut inner)?;
                inner.write_all(&gzip::trailer(crc.finalize(), size))?;
            }
            Form::Zstd(blocks) => blocks.finish(&mut inner)?,
        }
        Ok(inner)
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.form {
            Form::Plain => return self.inner.write(bytes),
            Form::Gzip { blocks, crc, size } => {
                blocks.write(bytes, &mut self.inner)?;
                crc.update(bytes);
                *size += bytes.len() as u64;
            }
            Form::Zstd(blocks) => blocks.write(bytes, &mut self.inner)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
