//! The digest of a regular file: its extended attributes, framed, and then its bytes.
//!
//! One digest for both lets the copy check in one pass, while it reads, that it writes what was selected.

use std::io::{self, Read};

use registry::oci::{Digest, Hasher};
use snapshotter::xattr::Xattr;

/// Bytes read at once: large enough to make system calls cheap, small enough for the processor's cache.
pub(crate) const BUFFER: usize = 256 * 1024;

/// Starts the digest of a file whose extended attributes are known; the bytes follow.
pub(crate) fn begin(xattrs: &[Xattr]) -> Hasher {
    let mut hasher = Hasher::new();
    frame_xattrs(&mut hasher, xattrs);
    hasher
}

/// Adds extended attributes, each with its lengths in front.
pub(super) fn frame_xattrs(hasher: &mut Hasher, xattrs: &[Xattr]) {
    hasher.update(&(xattrs.len() as u64).to_le_bytes());
    for Xattr { name, value } in xattrs {
        for part in [name, value] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
}

/// Returns the digest of exactly `size` bytes of a reader, or `None` if it ends before.
///
/// What was appended since the size was asked for does not count, so a growing file has a digest too.
pub(super) fn of(xattrs: &[Xattr], reader: &mut impl Read, size: u64, buffer: &mut [u8]) -> io::Result<Option<Digest>> {
    let mut hasher = begin(xattrs);
    let mut left = size;
    while left > 0 {
        let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match reader.read(&mut buffer[..length]) {
            Ok(0) => return Ok(None),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                left -= read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(hasher.finish()))
}
