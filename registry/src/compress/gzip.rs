//! gzip in blocks: one member (RFC 1952) of deflate blocks (RFC 1951) that were made independently.
//!
//! A block that is not the last ends with an empty stored block (a *sync flush*), which aligns it to a
//! byte, so that the blocks can be put one after the other.

use std::io;

use flate2::{Compress, FlushCompress, Status};

use super::pipeline::BlockCodec;

/// Bytes before the first block: deflate, no name, no time, no operating system.
pub(super) const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Deflates a block with what precedes it as dictionary.
#[derive(Clone)]
pub(super) struct Deflate {
    pub(super) level: u32,
}

impl BlockCodec for Deflate {
    const BLOCK: usize = 1 << 20;
    const HISTORY: usize = 32 << 10;
    const IN_FLIGHT: usize = 8;

    fn compress(&self, history: &[u8], block: &[u8], last: bool, out: &mut Vec<u8>) -> io::Result<()> {
        // A fresh one each time: a reset zlib-rs stream gives other bytes than a new one.
        let mut stream = Compress::new(flate2::Compression::new(self.level), false);
        if !history.is_empty() {
            stream.set_dictionary(history).map_err(io::Error::other)?;
        }
        let flush = if last {
            FlushCompress::Finish
        } else {
            FlushCompress::Sync
        };
        // Room for the worst case (level 1 may expand by an eighth), so that one call is enough: a second
        // sync flush would add bytes that depend on the room.
        out.reserve_exact(block.len() + block.len() / 8 + 1024);
        let status = stream.compress_vec(block, out, flush).map_err(io::Error::other)?;
        let complete = match status {
            Status::StreamEnd => last,
            Status::Ok | Status::BufError => !last && out.len() < out.capacity(),
        };
        match complete && stream.total_in() == block.len() as u64 {
            true => Ok(()),
            false => Err(io::Error::other("deflate left a part of a block")),
        }
    }
}

/// Returns the bytes after the last block: checksum and size of the content.
pub(super) fn trailer(crc: u32, size: u64) -> [u8; 8] {
    let mut trailer = [0; 8];
    trailer[..4].copy_from_slice(&crc.to_le_bytes());
    // The size modulo 2^32, as the format has it.
    trailer[4..].copy_from_slice(&(size as u32).to_le_bytes());
    trailer
}
