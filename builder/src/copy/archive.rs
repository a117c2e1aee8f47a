//! Archives that `ADD` unpacks: found by content, whatever they are called.
//!
//! An archive is a tar, plain or compressed with gzip, bzip2, xz or zstd, whose first block is a header with a right
//! checksum. Everything else, a compressed text or an empty tar included, is a file like any other.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use registry::oci::{Digest, Hasher};
use snapshotter::Root;
use snapshotter::layer::{self, Limits, UnpackError, UnpackMode, Unpacked};
use tokio_util::sync::CancellationToken;

use crate::cancellation::go_on;
use crate::context::BUFFER;
use crate::identity::Owner;

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

/// Returns whether a block is a header, and not just bytes.
pub(crate) fn has_right_checksum(header: &tar::Header) -> bool {
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

/// What came of unpacking, and of what bytes.
pub(super) struct Outcome {
    /// Of what the hasher had, and then all bytes of the file.
    pub(super) digest: Digest,
    pub(super) unpacked: Result<Unpacked, UnpackError>,
}

/// Unpacks the first `size` bytes of a file into a directory; everything is given to `owner`, if there is one.
pub(super) fn unpack(
    file: &File,
    size: u64,
    hasher: Hasher,
    into: &Root,
    owner: Option<Owner>,
    cancel: &CancellationToken,
) -> io::Result<Outcome> {
    let mode = owner.map_or(UnpackMode::Archive, |Owner { uid, gid }| UnpackMode::ArchiveOwnedBy {
        uid,
        gid,
    });
    let mut hashing = Hashing {
        file: file.take(size),
        hasher,
        cancel,
    };
    let unpacked = {
        let stream = BufReader::with_capacity(BUFFER, &mut hashing);
        layer::unpack(&mut decompress(stream)?, into, mode, &Limits::default())
    };
    // After an error, and after what a decompressor takes for the end, bytes are left.
    io::copy(&mut hashing, &mut io::sink())?;
    Ok(Outcome {
        digest: hashing.hasher.finish(),
        unpacked,
    })
}

/// A file whose bytes are hashed as they are read.
struct Hashing<'f> {
    file: io::Take<&'f File>,
    hasher: Hasher,
    cancel: &'f CancellationToken,
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        go_on(self.cancel)?;
        let read = self.file.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}
