//! What keeps a layer from growing out of all proportion while it is unpacked: a few megabytes can stand for terabytes.
//!
//! A layer may grow to [`HEADROOM`] in any case. Beyond that it may not become too many times the bytes that were read of it,
//! and has to leave some of the file system free. Zeros do not count: in files they become holes, which take no space, and
//! how long a file may be at all is [`Limits::bytes`].

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::fstatvfs;
use snapshotter::layer::Limits;

use crate::progress::Bytes;

/// Bytes that every layer may grow to.
const HEADROOM: u64 = 1 << 30;
/// How many bytes are looked at together: as many as become a hole if they are zeros.
const WINDOW: usize = 64 * 1024;
/// Bytes between two looks at what is free.
const GLANCE: u64 = 64 << 20;

/// What a layer may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allowance {
    /// Of what it says.
    pub limits: Limits,
    /// How many times the bytes that were read of it.
    pub ratio: u64,
    /// Bytes of the file system that it leaves free.
    pub reserve: u64,
}

impl Default for Allowance {
    /// Returns what no honest layer should reach: what [`Limits`] has, and 200 times its blob, where gzip can make it 1,032
    /// times and zstd far more. Nothing need stay free.
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            ratio: 200,
            reserve: 0,
        }
    }
}

impl Allowance {
    /// Returns the allowance for a layer that was here before and was let in then.
    pub(super) fn known() -> Self {
        Self {
            ratio: u64::MAX,
            ..Self::default()
        }
    }
}

/// Why a layer was not let grow.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GrowthError {
    /// It is far too large for its blob.
    #[error("it grows to more than {ratio} times its compressed size: {} out of the first {}", Bytes(*.grown), Bytes(*.read))]
    Ratio {
        /// How many times it may be.
        ratio: u64,
        /// Bytes that it has become, without zeros.
        grown: u64,
        /// Bytes of the blob that were read.
        read: u64,
    },
    /// It would fill the file system.
    #[error("it grows beyond {}, and would leave less than {} of the file system free", Bytes(*.grown), Bytes(*.reserve))]
    Reserve {
        /// Bytes that it has become, without zeros.
        grown: u64,
        /// Bytes that have to stay free.
        reserve: u64,
    },
}

impl GrowthError {
    /// Returns the one that is some cause of an error.
    pub fn behind<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            if let Some(growth) = inner.and_then(|inner| inner.downcast_ref()) {
                return Some(growth);
            }
            cause = error.source();
        }
        None
    }
}

impl From<GrowthError> for io::Error {
    fn from(error: GrowthError) -> Self {
        let kind = match error {
            GrowthError::Ratio { .. } => io::ErrorKind::InvalidData,
            GrowthError::Reserve { .. } => io::ErrorKind::StorageFull,
        };
        Self::new(kind, error)
    }
}

/// A blob being read, and how much of it was.
pub(super) struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Counted<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            read: Arc::default(),
        }
    }

    /// Returns the number of bytes that were read, as it becomes.
    pub(super) fn read_so_far(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.read)
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.read.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

/// What a blob unpacks to, which ends in an error where that is too much.
pub(super) struct Growing<'a, R> {
    inner: R,
    read: Arc<AtomicU64>,
    allowance: Allowance,
    /// Where it is unpacked.
    into: BorrowedFd<'a>,
    headroom: u64,
    /// Bytes in windows that are not zeros.
    grown: u64,
    /// Bytes of the present window, and whether they are zeros.
    window: (usize, bool),
    /// What it was when the free space was last looked at.
    glanced: u64,
}

impl<'a, R: Read> Growing<'a, R> {
    /// Watches what is made of the blob of which `read` bytes were read, and unpacked `into` a directory.
    pub(super) fn new(inner: R, read: Arc<AtomicU64>, allowance: Allowance, into: &'a impl AsFd) -> Self {
        Self {
            inner,
            read,
            allowance,
            into: into.as_fd(),
            headroom: HEADROOM,
            grown: 0,
            window: (0, true),
            glanced: 0,
        }
    }

    fn count(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (filled, is_zero) = self.window;
            let (now, rest) = bytes.split_at(bytes.len().min(WINDOW - filled));
            bytes = rest;
            let is_zero = is_zero && is_zeros(now);
            self.window = (filled + now.len(), is_zero);
            if self.window.0 == WINDOW {
                self.grown += if is_zero { 0 } else { WINDOW as u64 };
                self.window = (0, true);
            }
        }
    }

    fn check(&mut self) -> Result<(), GrowthError> {
        if self.grown <= self.headroom {
            return Ok(());
        }
        let Allowance { ratio, reserve, .. } = self.allowance;
        let (grown, read) = (self.grown, self.read.load(Ordering::Relaxed));
        if grown > read.saturating_mul(ratio) {
            return Err(GrowthError::Ratio { ratio, grown, read });
        }
        if reserve > 0 && grown - self.glanced >= GLANCE {
            self.glanced = grown;
            // A file system that does not tell has none to keep.
            let space = fstatvfs(self.into).ok();
            let free = space.map(|space| space.f_bavail.saturating_mul(space.f_frsize));
            if free.is_some_and(|free| free < reserve) {
                return Err(GrowthError::Reserve { grown, reserve });
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Growing<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.count(&buffer[..length]);
        self.check()?;
        Ok(length)
    }
}

fn is_zeros(bytes: &[u8]) -> bool {
    let is_zeros = |chunk: &[u8]| chunk.iter().fold(0, |bits, byte| bits | byte) == 0;
    bytes.chunks(64).all(is_zeros)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LITTLE: u64 = 4 << 20;

    /// Reads all that a blob of `read` bytes unpacks to, where no more than [`LITTLE`] goes without saying.
    fn grow(content: impl Read, read: u64, allowance: Allowance) -> io::Result<u64> {
        let here = std::fs::File::open(".")?;
        let mut growing = Growing::new(content, Arc::new(AtomicU64::new(read)), allowance, &here);
        growing.headroom = LITTLE;
        io::copy(&mut growing, &mut io::sink())
    }

    fn error(outcome: io::Result<u64>) -> GrowthError {
        let error = outcome.unwrap_err();
        GrowthError::behind(&error).unwrap().clone()
    }

    #[test]
    fn what_is_large_and_far_larger_than_its_blob_is_refused_and_nothing_else() {
        let tenfold = Allowance {
            ratio: 10,
            ..Allowance::default()
        };
        let of = |length: u64| io::repeat(b'x').take(length);
        // Small, whatever it was made of; large, of a blob that is large too.
        assert_eq!(grow(of(LITTLE), 1, tenfold).unwrap(), LITTLE);
        assert_eq!(grow(of(4 * LITTLE), LITTLE, tenfold).unwrap(), 4 * LITTLE);
        let refused = error(grow(of(4 * LITTLE), LITTLE / 10, tenfold));
        assert!(matches!(refused, GrowthError::Ratio { ratio: 10, grown, .. } if grown < LITTLE + LITTLE / 4));
        assert_eq!(grow(of(4 * LITTLE), 1, Allowance::known()).unwrap(), 4 * LITTLE);
    }

    #[test]
    fn zeros_become_holes_and_do_not_count_unless_they_hide_something() {
        assert_eq!(
            grow(io::repeat(0).take(64 * LITTLE), 1, Allowance::default()).unwrap(),
            64 * LITTLE
        );
        let mut window = vec![0; WINDOW];
        window[WINDOW / 2] = 1;
        let windows = 4 * LITTLE as usize / WINDOW;
        error(grow(window.repeat(windows).as_slice(), 1, Allowance::default()));
    }

    #[test]
    fn what_would_fill_the_file_system_is_refused_as_a_full_one() {
        let all = Allowance {
            ratio: u64::MAX,
            reserve: u64::MAX,
            ..Allowance::default()
        };
        let of = |length: u64| io::repeat(b'x').take(length);
        assert_eq!(grow(of(LITTLE), 1, all).unwrap(), LITTLE);
        let outcome = grow(of(GLANCE + LITTLE), 1, all);
        assert_eq!(outcome.as_ref().unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(matches!(error(outcome), GrowthError::Reserve { .. }));
    }
}
