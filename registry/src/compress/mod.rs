//! Compression whose bytes depend on nothing but the content and the level, and its reverse.
//!
//! Both encoders cut the stream into blocks of a fixed size and compress each block with a fresh encoder,
//! on as many threads as they are given. Neither the sizes of the writes nor the number of threads can
//! show in the result, which a plain streaming encoder does not promise: zlib-rs gives other bytes for
//! other write sizes. The bytes do depend on the version of the codec, so nothing may be keyed by them;
//! the DiffID is for that, and the compressed blob is kept.
//!
//! | | block | what a block sees of its predecessors | in flight |
//! |---|---|---|---|
//! | gzip | 1 MiB | the last 32 KiB as dictionary: one member, ratio as if unbroken | ≤ 8 blocks |
//! | zstd | 4 MiB | nothing: each is a frame; 0.5 % larger than unbroken at level 3 | ≤ 4 blocks |

mod decoder;
mod encoder;
mod gzip;
mod layer;
mod layer_reader;
mod pipeline;
mod zstd_frame;

pub use decoder::decoder;
pub use encoder::Encoder;
pub use layer::{LayerBlob, LayerIngest, LayerWriter};
pub use layer_reader::read_layer;

/// How a layer is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip at level 0 to 9.
    Gzip {
        /// Higher is smaller and slower.
        level: u32,
    },
    /// zstd at level 1 to 22.
    Zstd {
        /// Higher is smaller and slower.
        level: i32,
    },
}

impl Compression {
    /// gzip at its customary level, which every registry and runtime reads.
    pub const GZIP: Self = Self::Gzip { level: 6 };
    /// zstd at its customary level.
    pub const ZSTD: Self = Self::Zstd { level: 3 };
}

#[cfg(test)]
mod bombs;
#[cfg(test)]
mod tests;
