//! The archive on its way out: one fixed buffer, filled straight from the files.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use crate::layer::BLOCK;

/// Large enough that system calls cost nothing beside the copying, small enough for the processor's cache.
const BUFFER: usize = 256 * 1024;

/// Why the content of a file is not in the archive.
pub(super) enum ReadError {
    /// The file could not be read.
    Read(Errno),
    /// The file ended early.
    Short,
    /// The archive could not be written.
    Write(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

impl From<Errno> for ReadError {
    fn from(error: Errno) -> Self {
        Self::Read(error)
    }
}

/// A counted, buffered writer of whole blocks.
pub(super) struct Output<'a> {
    sink: &'a mut dyn Write,
    buffer: Box<[u8]>,
    filled: usize,
    /// Bytes that went to the sink.
    written: u64,
}

impl<'a> Output<'a> {
    pub(super) fn new(sink: &'a mut dyn Write) -> Self {
        Self {
            sink,
            buffer: vec![0; BUFFER].into(),
            filled: 0,
            written: 0,
        }
    }

    /// Appends bytes.
    pub(super) fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let space = self.space()?;
            let length = bytes.len().min(space.len());
            space[..length].copy_from_slice(&bytes[..length]);
            self.filled += length;
            bytes = &bytes[length..];
        }
        Ok(())
    }

    /// Appends the content of a file, whose position is at its start, and pads it to whole blocks.
    pub(super) fn content(&mut self, file: BorrowedFd<'_>, size: u64, has_holes: bool) -> Result<(), ReadError> {
        if has_holes {
            self.sparse(file, size)?;
        } else {
            self.read(file, size)?;
        }
        let padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(self.zeros(padding)?)
    }

    /// Appends a file of which only the parts that hold data are read.
    fn sparse(&mut self, file: BorrowedFd<'_>, size: u64) -> Result<(), ReadError> {
        let mut position = 0;
        while position < size {
            let data = match seek(file, SeekFrom::Data(position)) {
                Ok(data) => data.min(size),
                // Nothing but a hole up to the end.
                Err(Errno::NXIO) => size,
                // This file system does not tell; reading is always right.
                Err(Errno::INVAL) => {
                    seek(file, SeekFrom::Start(position))?;
                    return self.read(file, size - position);
                }
                Err(error) => return Err(error.into()),
            };
            self.zeros(data - position)?;
            position = data;
            if position < size {
                let hole = seek(file, SeekFrom::Hole(position))?.clamp(position + 1, size);
                seek(file, SeekFrom::Start(position))?;
                self.read(file, hole - position)?;
                position = hole;
            }
        }
        Ok(())
    }

    /// Appends the next `length` bytes of a file.
    fn read(&mut self, file: BorrowedFd<'_>, mut length: u64) -> Result<(), ReadError> {
        while length > 0 {
            let space = self.space()?;
            let wanted = space.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            match rustix::io::read(file, &mut space[..wanted]) {
                Ok(0) => return Err(ReadError::Short),
                Ok(read) => {
                    self.filled += read;
                    length -= read as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn zeros(&mut self, mut length: u64) -> io::Result<()> {
        while length > 0 {
            let space = self.space()?;
            let now = space.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            space[..now].fill(0);
            self.filled += now;
            length -= now as u64;
        }
        Ok(())
    }

    /// Returns the free part of the buffer, emptying it first when there is none.
    fn space(&mut self) -> io::Result<&mut [u8]> {
        if self.filled == self.buffer.len() {
            self.drain()?;
        }
        Ok(&mut self.buffer[self.filled..])
    }

    fn drain(&mut self) -> io::Result<()> {
        self.sink.write_all(&self.buffer[..self.filled])?;
        self.written += self.filled as u64;
        self.filled = 0;
        Ok(())
    }

    /// Ends the archive with two blocks of zeros and returns its length.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.zeros(2 * BLOCK as u64)?;
        self.drain()?;
        self.sink.flush()?;
        Ok(self.written)
    }
}
