//! zstd in blocks: one frame for each (RFC 8878 lets frames follow each other).

use std::io;

use super::pipeline::BlockCodec;

/// Makes a block a frame of its own, with its size and a checksum.
#[derive(Clone)]
pub(super) struct ZstdFrame {
    pub(super) level: i32,
}

impl BlockCodec for ZstdFrame {
    const BLOCK: usize = 4 << 20;
    const HISTORY: usize = 0;
    const IN_FLIGHT: usize = 4;

    fn compress(&self, _history: &[u8], block: &[u8], _last: bool, out: &mut Vec<u8>) -> io::Result<()> {
        let mut compressor = zstd::bulk::Compressor::new(self.level)?;
        compressor.include_checksum(true)?;
        out.reserve_exact(zstd::zstd_safe::compress_bound(block.len()));
        compressor.compress_to_buffer(block, out)?;
        Ok(())
    }
}
