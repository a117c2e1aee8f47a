//! Doors for the fuzzer to what is read of servers: the refs of a repository, and downloads that may be archives.

use std::io;

pub use super::git::foreign::references;

use crate::copy::archive::{decompress, has_right_checksum};

/// Gives the bytes inside of a download to `read`, which takes as many as it wants.
pub fn decompressed(bytes: &[u8], read: impl FnOnce(&mut dyn io::Read) -> io::Result<()>) -> io::Result<()> {
    let mut header = tar::Header::new_old();
    if let Some(block) = bytes.get(..512) {
        header.as_mut_bytes().copy_from_slice(block);
        let _is_archive = has_right_checksum(&header);
    }
    read(&mut decompress(bytes)?)
}
