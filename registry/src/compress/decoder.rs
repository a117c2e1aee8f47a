//! The reading side: what a blob is compressed with is told by its first bytes, because media types lie.

use std::io::{self, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

/// Bytes read from the source at once.
const READ: usize = 64 << 10;

/// The largest zstd window that is accepted, as a power of two: 128 MiB of memory, what `zstd --ultra` and
/// other clients agree on. A frame that wants more is refused rather than obeyed.
const WINDOW_LOG_MAX: u32 = 27;

/// Returns the uncompressed bytes of gzip (any number of members), zstd (any number of frames) or else of
/// the stream as it is; a compressed stream that is cut short is an error.
pub fn decoder<'a>(mut reader: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut magic = Vec::with_capacity(4);
    reader.by_ref().take(4).read_to_end(&mut magic)?;
    let form = Form::of(&magic);
    let whole = Cursor::new(magic).chain(reader);
    Ok(match form {
        Form::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(READ, whole))),
        Form::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(READ, whole))?;
            decoder.window_log_max(WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
        Form::Plain => Box::new(whole),
    })
}

enum Form {
    Gzip,
    Zstd,
    Plain,
}

impl Form {
    fn of(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Self::Zstd,
            // A skippable frame may come first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Self::Zstd,
            _ => Self::Plain,
        }
    }
}
