//! A reader that cannot end well on wrong bytes.

use std::io::{self, Read};

use super::damaged::Damaged;
use super::digest_reader::drain;
use super::{ContentError, DigestReader, Measured};
use crate::oci::Descriptor;

/// Reads content and fails at its end if digest or size are not those of the descriptor.
///
/// At most one byte more than the descriptor says is read. What is handed out before the end is not yet
/// verified: a consumer acts on it only in a place that it can throw away, and calls
/// [`finish`](Self::finish) when it is done, *also when it failed itself*: an archive that cannot be
/// unpacked because the disk is bad is a damaged blob, not a bad archive.
pub struct VerifyReader<R> {
    state: State<R>,
    expected: Measured,
    damaged: Option<Damaged>,
}

enum State<R> {
    Reading(DigestReader<R>),
    /// At the end of the stream, or at the first byte too many.
    Ended(Measured),
}

impl<R: Read> VerifyReader<R> {
    /// Reads the content that `descriptor` describes.
    pub fn new(inner: R, descriptor: &Descriptor) -> Self {
        Self {
            state: State::Reading(DigestReader::new(inner)),
            expected: Measured {
                digest: descriptor.digest,
                size: descriptor.size,
            },
            damaged: None,
        }
    }

    /// Notes there what turns out to be wrong.
    pub(super) fn reporting_to(self, damaged: Damaged) -> Self {
        Self {
            damaged: Some(damaged),
            ..self
        }
    }

    /// Reads what is left and says whether the whole content was right.
    ///
    /// The error holds a [`ContentError`] (see [`ContentError::within`]) unless reading itself failed.
    pub fn finish(mut self) -> io::Result<()> {
        drain(&mut self)
    }

    /// Compares what was found with what was expected.
    fn verdict(&self, found: Measured) -> Result<(), ContentError> {
        let expected = self.expected;
        // A digest covers the size: a stream of another length with the right digest is a wrong descriptor,
        // a stream that is cut or went wrong is damage. With too many bytes the digest is not known.
        if found.digest != expected.digest && found.size <= expected.size {
            return Err(ContentError::DigestMismatch {
                expected: expected.digest,
                found: found.digest,
            });
        }
        match found.size == expected.size {
            true => Ok(()),
            false => Err(ContentError::SizeMismatch {
                digest: expected.digest,
                expected: expected.size,
                found: found.size,
            }),
        }
    }
}

impl<R: Read> Read for VerifyReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let reader = match &mut self.state {
            State::Reading(reader) => reader,
            State::Ended(found) => {
                let found = *found;
                return Ok(self.verdict(found).map(|()| 0)?);
            }
        };
        if buffer.is_empty() {
            return Ok(0);
        }
        let allowed = (self.expected.size + 1).saturating_sub(reader.size());
        let length = buffer.len().min(usize::try_from(allowed).unwrap_or(usize::MAX));
        let read = reader.read(&mut buffer[..length])?;
        if read == 0 || reader.size() > self.expected.size {
            let found = reader.measured();
            self.state = State::Ended(found);
            if let (Err(_), Some(damaged)) = (self.verdict(found), &self.damaged) {
                damaged.note(self.expected.digest);
            }
            self.verdict(found)?;
        }
        Ok(read)
    }
}
