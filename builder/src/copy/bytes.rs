//! The bytes of one file: read, hashed and written in one pass, holes kept.
//!
//! They are read and written in user space because they must be hashed on the way. The calls that copy inside the
//! kernel (`copy_file_range`, `FICLONE`) work within one mounted file system only, and the destination is an overlay
//! mount of its own: they would answer `EXDEV` for every context and every stage.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;

use registry::oci::Hasher;
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use snapshotter::Stat;
use tokio_util::sync::CancellationToken;

use crate::cancellation::go_on;
use crate::context::BUFFER;

/// What holes read as.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// What the bytes of all files of a copy go through.
pub(super) struct Pipe {
    buffer: Vec<u8>,
    /// Cancelled when nobody wants the copy any more.
    pub(super) cancel: CancellationToken,
}

impl Pipe {
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; BUFFER],
            cancel: CancellationToken::new(),
        }
    }
}

/// Copies the first `stat.size` bytes; returns `false` if the source has fewer by now.
pub(super) fn copy(from: &File, to: &File, stat: &Stat, hasher: &mut Hasher, pipe: &mut Pipe) -> io::Result<bool> {
    go_on(&pipe.cancel)?;
    if stat.blocks.saturating_mul(512) < stat.size {
        return copy_sparse(from, to, stat.size, hasher, pipe);
    }
    let (mut from, mut to) = (from, to);
    let mut left = stat.size;
    let buffer = &mut pipe.buffer;
    while left > 0 {
        go_on(&pipe.cancel)?;
        let read = match from.read(limited(buffer, left)) {
            Ok(0) => return Ok(false),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
        left -= read as u64;
    }
    Ok(true)
}

fn copy_sparse(from: &File, to: &File, size: u64, hasher: &mut Hasher, pipe: &mut Pipe) -> io::Result<bool> {
    let buffer = &mut pipe.buffer;
    let mut position = 0;
    while position < size {
        let data = next(from, SeekFrom::Data(position))?.unwrap_or(size).min(size);
        hash_zeros(hasher, data - position);
        position = data;
        let hole = next(from, SeekFrom::Hole(position))?.unwrap_or(size).min(size);
        while position < hole {
            go_on(&pipe.cancel)?;
            let read = match from.read_at(limited(buffer, hole - position), position) {
                Ok(0) => return Ok(false),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hasher.update(&buffer[..read]);
            to.write_all_at(&buffer[..read], position)?;
            position += read as u64;
        }
    }
    to.set_len(size)?;
    Ok(true)
}

/// Returns where the next data or hole begins; `None` past the end.
fn next(file: &File, from: SeekFrom) -> io::Result<Option<u64>> {
    match seek(file, from) {
        Err(Errno::NXIO) => Ok(None),
        found => Ok(Some(found?)),
    }
}

fn hash_zeros(hasher: &mut Hasher, mut count: u64) {
    while count > 0 {
        let length = ZEROS.len().min(usize::try_from(count).unwrap_or(usize::MAX));
        hasher.update(&ZEROS[..length]);
        count -= length as u64;
    }
}

fn limited(buffer: &mut [u8], left: u64) -> &mut [u8] {
    let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
    &mut buffer[..length]
}
