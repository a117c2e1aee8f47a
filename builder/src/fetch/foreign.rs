//! Doors for the fuzzer to what is read of servers: the refs of a repository, and downloads that may be archives.

use std::io;

pub use super::git::foreign::references;

use crate::copy::archive::{decompress, has_right_checksum};

/// Returns what is inside of a download.
pub fn decompressed(bytes: &[u8]) -> io::Result<Box<dyn io::Read + '_>> {
    let mut header = tar::Header::new_old();
    if let Some(block) = bytes.get(..512) {
        header.as_mut_bytes().copy_from_slice(block);
        let _is_archive = has_right_checksum(&header);
    }
    decompress(bytes)
}
