//! The content of a file, copied without passing through this process where the kernel can.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{SeekFrom, copy_file_range, ftruncate, ioctl_ficlone, seek};
use rustix::io::{Errno, pread, pwrite};

use crate::attributes::Stat;

/// Bytes that are copied at once by hand.
const BUFFER: usize = 256 * 1024;

/// Copies the content of files, in the first way that works: which one does is a matter of the file systems, not of the file.
pub struct ContentCopier {
    can_clone: bool,
    can_copy_in_kernel: bool,
    buffer: Vec<u8>,
}

impl Default for ContentCopier {
    fn default() -> Self {
        Self {
            can_clone: true,
            can_copy_in_kernel: true,
            buffer: Vec::new(),
        }
    }
}

impl ContentCopier {
    /// Copies the whole content to a new, empty file. Holes stay holes.
    ///
    /// # Errors
    /// If a call fails, or the file is shorter by now.
    pub fn copy(&mut self, from: &OwnedFd, to: &OwnedFd, stat: &Stat) -> Result<(), Errno> {
        if stat.size == 0 {
            return Ok(());
        }
        if self.can_clone {
            self.can_clone = ioctl_ficlone(to, from).is_ok();
            if self.can_clone {
                return Ok(());
            }
        }
        if stat.blocks.saturating_mul(512) >= stat.size {
            return self.range(from.as_fd(), to.as_fd(), 0, stat.size);
        }
        ftruncate(to, stat.size)?;
        let mut position = 0;
        while position < stat.size {
            let data = match seek(from, SeekFrom::Data(position)) {
                // Nothing but a hole up to the end.
                Err(Errno::NXIO) => break,
                // This file system does not tell.
                Err(Errno::INVAL) => return self.range(from.as_fd(), to.as_fd(), position, stat.size),
                data => data?,
            };
            let hole = seek(from, SeekFrom::Hole(data))?.clamp(data + 1, stat.size);
            self.range(from.as_fd(), to.as_fd(), data, hole)?;
            position = hole;
        }
        Ok(())
    }

    fn range(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, mut position: u64, end: u64) -> Result<(), Errno> {
        while position < end {
            let wanted = usize::try_from(end - position).unwrap_or(usize::MAX);
            position += match self.some(from, to, position, wanted) {
                Err(Errno::INTR) => 0,
                // It was longer a moment ago.
                Ok(0) => return Err(Errno::IO),
                copied => copied? as u64,
            };
        }
        Ok(())
    }

    /// Copies some bytes, and returns how many.
    fn some(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, position: u64, wanted: usize) -> Result<usize, Errno> {
        if self.can_copy_in_kernel {
            match copy_file_range(from, Some(&mut { position }), to, Some(&mut { position }), wanted) {
                // Between these file systems it is not possible, or not allowed.
                Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                    self.can_copy_in_kernel = false;
                }
                copied => return copied,
            }
        }
        self.buffer.resize(BUFFER, 0);
        let length = wanted.min(BUFFER);
        let read = pread(from, &mut self.buffer[..length], position)?;
        let mut written = 0;
        while written < read {
            written += pwrite(to, &self.buffer[written..read], position + written as u64)?;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};

    use super::*;

    /// Copies `content`, which lies behind a hole, in all ways; `/dev/shm` is another file system.
    fn copied(content: &[u8], hole: u64) {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm").unwrap());
        let path = here.path().join("from");
        let source = File::create_new(&path).unwrap();
        source.write_all_at(content, hole).unwrap();
        source.set_len(hole + content.len() as u64 + hole).unwrap();
        let from = OwnedFd::from(File::open(&path).unwrap());
        let stat = crate::inodes::stat_at(from.as_fd(), c"").unwrap();
        let by_hand = ContentCopier {
            can_clone: false,
            can_copy_in_kernel: false,
            buffer: Vec::new(),
        };
        for (number, mut way) in [ContentCopier::default(), by_hand].into_iter().enumerate() {
            for place in [here.path(), there.path()] {
                let to = place.join(format!("to-{number}"));
                way.copy(&from, &File::create_new(&to).unwrap().into(), &stat).unwrap();
                assert!(fs::read(&to).unwrap() == fs::read(&path).unwrap());
                let blocks = fs::metadata(&to).unwrap().blocks();
                assert!(blocks <= stat.blocks + 16, "{blocks} instead of {}", stat.blocks);
            }
        }
    }

    #[test]
    fn every_byte_arrives_and_holes_stay_holes() {
        let noise: Vec<u8> = (0..700_000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        copied(&noise, 0);
        copied(&noise, 10 << 20);
        copied(b"", 0);
        copied(b"", 1 << 20);
        copied(b"x", 4096);
    }

    #[test]
    fn a_file_that_ends_early_is_an_error() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("from");
        fs::write(&path, "abc").unwrap();
        let from = OwnedFd::from(File::open(&path).unwrap());
        let mut stat = crate::inodes::stat_at(from.as_fd(), c"").unwrap();
        stat.size = 5;
        let to = File::create_new(scratch.path().join("to")).unwrap();
        let mut content = ContentCopier {
            can_clone: false,
            ..ContentCopier::default()
        };
        assert_eq!(content.copy(&from, &to.into(), &stat), Err(Errno::IO));
    }
}
