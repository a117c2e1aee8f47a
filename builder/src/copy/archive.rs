//! Archives that `ADD` unpacks: found by content, whatever they are called.
//!
//! An archive is a tar, plain or compressed with gzip, bzip2, xz or zstd, whose first block is a header with a right
//! checksum. Everything else, a compressed text or an empty tar included, is a file like any other.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use registry::oci::Hasher;

use crate::context::BUFFER;

/// Bytes of memory that an xz stream may ask for: enough for `xz -9`, which takes 65 MiB.
const XZ_MEMORY: u64 = 128 << 20;

/// The base-two logarithm of the window that a zstd stream may ask for: 128 MiB, as `zstd --long` makes.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Returns whether the file, read from its beginning, is an archive.
pub(crate) fn is_archive(file: &File) -> bool {
    let mut header = tar::Header::new_old();
    // What cannot be decompressed is no archive: a name like `x.gz` promises nothing.
    let read = decompress(BufReader::new(file)).and_then(|mut stream| stream.read_exact(header.as_mut_bytes()));
    read.is_ok() && has_right_checksum(&header)
}

fn has_right_checksum(header: &tar::Header) -> bool {
    const CHECKSUM: std::ops::Range<usize> = 148..156;
    let bytes = header.as_bytes();
    let counted = |(index, byte): (usize, &u8)| u32::from(if CHECKSUM.contains(&index) { b' ' } else { *byte });
    let sum: u32 = bytes.iter().enumerate().map(counted).sum();
    bytes.iter().any(|byte| *byte != 0) && header.cksum().is_ok_and(|written| written == sum)
}

/// Returns the archive inside a compressed or plain stream.
pub(crate) fn decompress<'r>(mut stream: impl BufRead + 'r) -> io::Result<Box<dyn Read + 'r>> {
    let magic = stream.fill_buf()?;
    Ok(if magic.starts_with(b"\x1f\x8b\x08") {
        Box::new(flate2::bufread::MultiGzDecoder::new(stream))
    } else if magic.starts_with(b"BZh") {
        Box::new(bzip2::bufread::MultiBzDecoder::new(stream))
    } else if magic.starts_with(b"\xfd7zXZ\0") {
        let decoder = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED);
        Box::new(liblzma::bufread::XzDecoder::new_stream(
            stream,
            decoder.map_err(io::Error::other)?,
        ))
    } else if magic.starts_with(b"\x28\xb5\x2f\xfd") {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(stream)?;
        decoder.window_log_max(ZSTD_WINDOW_LOG)?;
        Box::new(decoder)
    } else {
        Box::new(stream)
    })
}

/// A file whose bytes are hashed as they are read, up to a length.
pub(super) struct Hashing<'f> {
    file: io::Take<&'f File>,
    hasher: Hasher,
}

impl<'f> Hashing<'f> {
    pub(super) fn new(file: &'f File, length: u64, hasher: Hasher) -> Self {
        Self {
            file: file.take(length),
            hasher,
        }
    }

    /// Reads what is left and returns the hasher of all of it.
    pub(super) fn finish(mut self) -> io::Result<Hasher> {
        let mut buffer = vec![0; BUFFER];
        while self.read(&mut buffer)? > 0 {}
        Ok(self.hasher)
    }
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}
