//! File content, from the archive to the file.

use std::os::fd::BorrowedFd;

use rustix::fs::ftruncate;
use rustix::io::{Errno, pwrite};

use super::error::UnpackCause;
use crate::error::FsError;
use crate::layer::archive::{Archive, Entry};

/// Zeros of at least this length, aligned, become a hole. Shorter ones are written: a hole costs an extent.
const HOLE: usize = 64 * 1024;

/// Writes the content of the present entry into a new, empty file.
pub(super) fn write(archive: &mut Archive<'_>, entry: &Entry, file: BorrowedFd<'_>) -> Result<(), UnpackCause> {
    let failed = |verb, errno: Errno| FsError::new(verb, super::display_path(&entry.path), errno);
    // The end of what was written so far; the file is no longer than that.
    let mut written = 0;
    for segment in &entry.segments {
        let (mut position, mut left) = (segment.offset, segment.length);
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(HOLE);
            let available = archive.content(wanted)?;
            let mut length = usize::try_from(left).unwrap_or(usize::MAX).min(available.len());
            if (length as u64) < left {
                length -= length % HOLE;
            }
            for run in data_runs(&available[..length]) {
                let end = position + run.end as u64;
                write_all(file, &available[run.clone()], position + run.start as u64)
                    .map_err(|errno| failed("write", errno))?;
                written = end;
            }
            archive.consume(length);
            position += length as u64;
            left -= length as u64;
        }
    }
    if written < entry.size {
        ftruncate(file, entry.size).map_err(|errno| failed("set the length of", errno))?;
    }
    Ok(())
}

/// Returns the parts of a piece of content that are not holes; only a piece's last block may be short.
fn data_runs(content: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for (index, block) in content.chunks(HOLE).enumerate() {
        let start = index * HOLE;
        if block.len() == HOLE && is_zero(block) {
            continue;
        }
        match runs.last_mut() {
            Some(last) if last.end == start => last.end += block.len(),
            _ => runs.push(start..start + block.len()),
        }
    }
    runs
}

/// Returns whether all bytes are zero; most blocks that are not show it in their first word.
fn is_zero(block: &[u8]) -> bool {
    block
        .chunks(64)
        .all(|chunk| chunk.iter().fold(0, |bits, byte| bits | byte) == 0)
}

fn write_all(file: BorrowedFd<'_>, mut bytes: &[u8], mut position: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match pwrite(file, bytes, position) {
            Ok(0) => return Err(Errno::IO),
            Ok(length) => {
                bytes = &bytes[length..];
                position += length as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{HOLE, data_runs};

    #[test]
    fn only_whole_zero_blocks_become_holes() {
        let mut content = vec![0; 4 * HOLE + 10];
        content[HOLE] = 1;
        content[3 * HOLE - 1] = 1;
        assert_eq!(data_runs(&content), [HOLE..3 * HOLE, 4 * HOLE..4 * HOLE + 10]);
        assert_eq!(data_runs(&content[..HOLE]), []);
        assert_eq!(data_runs(&[]), []);
    }
}
