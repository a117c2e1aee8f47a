//! Reading archives: from a stream of blocks to entries, within limits.
//!
//! The dialects are those that layers and `ADD` meet: POSIX `ustar` and PAX, GNU long names, sizes and sparse files,
//! and the old header without either. Where readers are known to disagree about what an archive says, it is refused
//! rather than read in one of the ways: an archive that a scanner reads differently hides files.

mod header;
mod number;
mod pax;
mod sparse;

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::BLOCK;
use crate::attributes::Timestamp;
use header::Extensions;
pub(super) use sparse::Segment;

/// Size of the buffer between the stream and the files, in bytes.
const BUFFER: usize = 256 * 1024;

/// Where reading an archive gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of extended headers before one entry.
    pub header_bytes: usize,
    /// Number of segments of one sparse file.
    pub sparse_segments: usize,
    /// Number of entries of the archive.
    pub entries: u64,
    /// Bytes of the archive, and bytes of all files in it, holes included.
    pub bytes: u64,
}

impl Default for Limits {
    /// Returns limits that no honest layer reaches: 1 MiB of headers, 65,536 segments, 50 million entries, 1 TiB.
    fn default() -> Self {
        Self {
            header_bytes: 1 << 20,
            sparse_segments: 65_536,
            entries: 50_000_000,
            bytes: 1 << 40,
        }
    }
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The stream failed.
    #[error("cannot read the archive")]
    Read(#[source] io::Error),
    /// The stream ended inside of an entry.
    #[error("the archive is truncated")]
    Truncated,
    /// A header is not a header: its checksum is wrong.
    #[error("the header's checksum is wrong")]
    Checksum,
    /// A number is not written as one, or larger than its meaning allows.
    #[error("the header's `{field}` is not a valid number")]
    Number {
        /// Which number.
        field: &'static str,
    },
    /// A PAX header is not a sequence of records.
    #[error("a PAX record is malformed")]
    PaxRecord,
    /// A name that holds a NUL, which readers end at different places.
    #[error("the name holds a NUL byte")]
    NulInName,
    /// Headers contradict each other, so that readers disagree about what they say.
    #[error("the entry's headers contradict each other: {0}")]
    Ambiguous(&'static str),
    /// A type of entry that has no meaning in a layer.
    #[error("the entry is of the unknown type `{}`", char::from(*.0).escape_default())]
    UnknownType(u8),
    /// The map of a sparse file is not a map of that file.
    #[error("the map of the sparse file is malformed")]
    SparseMap,
    /// The extended headers of one entry are longer than allowed.
    #[error("the extended headers are longer than {limit} bytes")]
    HeaderLimit {
        /// Number of bytes allowed.
        limit: usize,
    },
    /// A sparse file has more segments than allowed.
    #[error("the sparse file has more than {limit} segments")]
    SegmentLimit {
        /// Number of segments allowed.
        limit: usize,
    },
    /// There are more entries than allowed.
    #[error("the archive has more than {limit} entries")]
    EntryLimit {
        /// Number of entries allowed.
        limit: u64,
    },
    /// The archive, or the files in it, are longer than allowed.
    #[error("the archive or its files are longer than {limit} bytes")]
    ByteLimit {
        /// Number of bytes allowed.
        limit: u64,
    },
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    HardLink,
    Symlink,
    CharacterDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// One entry, without its content.
#[derive(Debug)]
pub(super) struct Entry {
    /// As the archive has it: nothing about it is to be trusted.
    pub(super) path: Vec<u8>,
    pub(super) kind: Kind,
    /// Permission bits with set-user-ID, set-group-ID and sticky.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Timestamp,
    /// Target of a link, as the archive has it.
    pub(super) link: Vec<u8>,
    /// Major and minor number of a device.
    pub(super) device: (u32, u32),
    /// Names and values of extended attributes, as the archive has them.
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Length of the file in bytes, holes included.
    pub(super) size: u64,
    /// The parts of the file that the archive holds, in order; everything between is a hole.
    pub(super) segments: Vec<Segment>,
}

/// An archive being read.
pub(super) struct Archive<'a> {
    source: &'a mut dyn Read,
    limits: &'a Limits,
    buffer: Box<[u8]>,
    /// The part of the buffer that is not consumed yet.
    start: usize,
    end: usize,
    /// Bytes of the present entry's content that are not consumed yet.
    content: u64,
    /// Bytes that pad the present entry to whole blocks.
    padding: u64,
    /// Bytes read from the source.
    read: u64,
    /// Number of entries returned.
    entries: u64,
    /// Sum of the files' lengths.
    unpacked: u64,
}

impl<'a> Archive<'a> {
    pub(super) fn new(source: &'a mut dyn Read, limits: &'a Limits) -> Self {
        Self {
            source,
            limits,
            buffer: vec![0; BUFFER].into(),
            start: 0,
            end: 0,
            content: 0,
            padding: 0,
            read: 0,
            entries: 0,
            unpacked: 0,
        }
    }

    /// Returns how many entries were returned, which is the number of the present one counted from 1.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// Returns the sum of the lengths of all files so far.
    pub(super) fn unpacked(&self) -> u64 {
        self.unpacked
    }

    /// Skips what is left of the present entry and returns the next, or `None` at the end; then the stream has been
    /// read to its end too, so that whoever verifies it has seen all of it.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, ArchiveError> {
        self.skip(self.content)?;
        self.skip(self.padding)?;
        (self.content, self.padding) = (0, 0);
        let mut extensions = Extensions::default();
        let header = loop {
            let Some(header) = self.header()? else {
                if extensions.is_empty() {
                    return Ok(None);
                }
                return Err(ArchiveError::Truncated);
            };
            match header.entry_type() {
                EntryType::XHeader => extensions.add_pax(&self.extension(&header, extensions.len())?)?,
                EntryType::XGlobalHeader => header::check_global(&self.extension(&header, 0)?)?,
                EntryType::GNULongName => extensions.add_long_path(self.extension(&header, extensions.len())?)?,
                EntryType::GNULongLink => extensions.add_long_link(self.extension(&header, extensions.len())?)?,
                _ => break header,
            }
        };
        if self.entries == self.limits.entries {
            return Err(ArchiveError::EntryLimit {
                limit: self.limits.entries,
            });
        }
        let (mut entry, stored) = header::entry(&header, &extensions)?;
        self.content = stored;
        self.padding = stored.next_multiple_of(BLOCK as u64) - stored;
        if entry.kind == Kind::File {
            sparse::fill(self, &header, &extensions, &mut entry)?;
            self.unpacked = self.unpacked.saturating_add(entry.size);
            if self.unpacked > self.limits.bytes {
                return Err(ArchiveError::ByteLimit {
                    limit: self.limits.bytes,
                });
            }
        }
        self.entries += 1;
        Ok(Some(entry))
    }

    /// Returns at least `wanted` bytes of the present entry's content, or all that is left of it.
    ///
    /// `wanted` is at most the size of the buffer.
    pub(super) fn content(&mut self, wanted: usize) -> Result<&[u8], ArchiveError> {
        let left = usize::try_from(self.content).unwrap_or(usize::MAX);
        self.buffered(wanted.min(left))?;
        let end = self.end.min(self.start.saturating_add(left));
        Ok(&self.buffer[self.start..end])
    }

    /// Counts bytes of the content as consumed.
    pub(super) fn consume(&mut self, length: usize) {
        self.start += length;
        self.content -= length as u64;
    }

    /// Reads the next header block; `None` at the end of the archive.
    fn header(&mut self) -> Result<Option<Header>, ArchiveError> {
        if self.at_end()? {
            return Ok(None);
        }
        let block = self.block()?;
        if block.iter().all(|&byte| byte == 0) {
            self.finish()?;
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block).clone();
        header::verify(&header)?;
        Ok(Some(header))
    }

    /// Reads one block that is not counted as content.
    fn block(&mut self) -> Result<[u8; BLOCK], ArchiveError> {
        self.buffered(BLOCK)?;
        let mut block = [0; BLOCK];
        block.copy_from_slice(&self.buffer[self.start..self.start + BLOCK]);
        self.start += BLOCK;
        Ok(block)
    }

    /// Reads the block that must follow the first block of zeros, and whatever comes after.
    fn finish(&mut self) -> Result<(), ArchiveError> {
        if !self.at_end()? && self.block()?.iter().any(|&byte| byte != 0) {
            return Err(ArchiveError::Ambiguous("a single block of zeros is followed by more"));
        }
        while !self.at_end()? {
            self.start = self.end;
        }
        Ok(())
    }

    /// Reads the content of an extended header.
    fn extension(&mut self, header: &Header, so_far: usize) -> Result<Vec<u8>, ArchiveError> {
        let size = header::size(header)?;
        let limit = self.limits.header_bytes;
        let length = usize::try_from(size)
            .ok()
            .filter(|&length| so_far.saturating_add(length) <= limit);
        let Some(length) = length else {
            return Err(ArchiveError::HeaderLimit { limit });
        };
        let mut content = Vec::with_capacity(length);
        self.content = size;
        while content.len() < length {
            let part = self.content(1)?;
            content.extend_from_slice(part);
            let consumed = part.len();
            self.consume(consumed);
        }
        self.skip(size.next_multiple_of(BLOCK as u64) - size)?;
        Ok(content)
    }

    /// Makes the buffer hold at least `wanted` bytes that are not consumed.
    fn buffered(&mut self, wanted: usize) -> Result<(), ArchiveError> {
        if self.end - self.start >= wanted {
            return Ok(());
        }
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        while self.end < wanted {
            if self.fill()? == 0 {
                return Err(ArchiveError::Truncated);
            }
        }
        Ok(())
    }

    /// Reads once into the free end of the buffer.
    fn fill(&mut self) -> Result<usize, ArchiveError> {
        let length = loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                length => break length.map_err(ArchiveError::Read)?,
            }
        };
        self.end += length;
        self.read += length as u64;
        if self.read > self.limits.bytes {
            return Err(ArchiveError::ByteLimit {
                limit: self.limits.bytes,
            });
        }
        Ok(length)
    }

    /// Returns whether the stream has ended.
    fn at_end(&mut self) -> Result<bool, ArchiveError> {
        if self.start < self.end {
            return Ok(false);
        }
        (self.start, self.end) = (0, 0);
        Ok(self.fill()? == 0)
    }

    fn skip(&mut self, mut length: u64) -> Result<(), ArchiveError> {
        while length > 0 {
            self.buffered(1)?;
            let now = usize::try_from(length).unwrap_or(usize::MAX).min(self.end - self.start);
            self.start += now;
            length -= now as u64;
        }
        Ok(())
    }
}
