//! Sparse files: where the parts that an archive holds belong in the file.
//!
//! GNU tar has had four ways to write the map: in the header block and blocks after it (the old one), in PAX records
//! one by one (0.0), in one PAX record (0.1), and as text before the content (1.0).

use tar::{EntryType, GnuExtSparseHeader, GnuSparseHeader, Header};

use super::header::Extensions;
use super::{Archive, ArchiveError, BLOCK, Entry, number};

/// A part of a file that an archive holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::layer) struct Segment {
    /// Where it begins in the file, in bytes.
    pub(in crate::layer) offset: u64,
    /// Its length in bytes.
    pub(in crate::layer) length: u64,
}

/// Replaces size and segments of an entry when it is sparse; its content follows in the archive.
pub(super) fn fill(
    archive: &mut Archive<'_>,
    header: &Header,
    extensions: &Extensions,
    entry: &mut Entry,
) -> Result<(), ArchiveError> {
    let limit = archive.limits.sparse_segments;
    let (segments, size) = if header.entry_type() == EntryType::GNUSparse {
        old_gnu(archive, header, limit)?
    } else {
        match (extensions.pax("GNU.sparse.major"), extensions.pax("GNU.sparse.minor")) {
            (Some(b"1"), Some(b"0")) => (map_before_content(archive, limit)?, real_size(extensions)?),
            (None | Some(b"0"), _) if has_map(extensions) => (map_in_pax(extensions, limit)?, real_size(extensions)?),
            (None, None) => return Ok(()),
            _ => return Err(ArchiveError::SparseMap),
        }
    };
    check(&segments, size, archive.content)?;
    (entry.segments, entry.size) = (segments, size);
    Ok(())
}

/// Checks that segments lie in order within the file and are what the archive holds.
fn check(segments: &[Segment], size: u64, stored: u64) -> Result<(), ArchiveError> {
    let (mut position, mut sum) = (0, 0_u64);
    for segment in segments {
        let end = segment
            .offset
            .checked_add(segment.length)
            .ok_or(ArchiveError::SparseMap)?;
        if segment.offset < position || end > size {
            return Err(ArchiveError::SparseMap);
        }
        position = end;
        sum += segment.length;
    }
    if sum == stored && i64::try_from(size).is_ok() {
        Ok(())
    } else {
        Err(ArchiveError::SparseMap)
    }
}

fn old_gnu(archive: &mut Archive<'_>, header: &Header, limit: usize) -> Result<(Vec<Segment>, u64), ArchiveError> {
    let gnu = header.as_gnu().ok_or(ArchiveError::SparseMap)?;
    let size = number::field(&gnu.realsize, "realsize")?;
    let size = u64::try_from(size).map_err(|_| ArchiveError::SparseMap)?;
    let mut segments = Vec::new();
    add_blocks(&gnu.sparse, &mut segments, limit)?;
    let mut extended = gnu.isextended[0] == 1;
    while extended {
        let mut block = GnuExtSparseHeader::new();
        *block.as_mut_bytes() = archive.block()?;
        add_blocks(block.sparse(), &mut segments, limit)?;
        extended = block.is_extended();
    }
    Ok((segments, size))
}

fn add_blocks(fields: &[GnuSparseHeader], segments: &mut Vec<Segment>, limit: usize) -> Result<(), ArchiveError> {
    for field in fields {
        // A field without an offset ends the map.
        if field.offset[0] == 0 {
            return Ok(());
        }
        let offset = number::field(&field.offset, "offset")?;
        let length = number::field(&field.numbytes, "numbytes")?;
        let (Ok(offset), Ok(length)) = (u64::try_from(offset), u64::try_from(length)) else {
            return Err(ArchiveError::SparseMap);
        };
        push(segments, Segment { offset, length }, limit)?;
    }
    Ok(())
}

fn push(segments: &mut Vec<Segment>, segment: Segment, limit: usize) -> Result<(), ArchiveError> {
    if segments.len() == limit {
        return Err(ArchiveError::SegmentLimit { limit });
    }
    segments.push(segment);
    Ok(())
}

fn has_map(extensions: &Extensions) -> bool {
    extensions.pax("GNU.sparse.map").is_some() || extensions.pax("GNU.sparse.numblocks").is_some()
}

fn real_size(extensions: &Extensions) -> Result<u64, ArchiveError> {
    let size = extensions
        .pax("GNU.sparse.realsize")
        .or_else(|| extensions.pax("GNU.sparse.size"));
    size.and_then(number::decimal).ok_or(ArchiveError::SparseMap)
}

/// Reads the map of format 0.1, or of 0.0.
fn map_in_pax(extensions: &Extensions, limit: usize) -> Result<Vec<Segment>, ArchiveError> {
    let mut numbers = Vec::new();
    if let Some(map) = extensions.pax("GNU.sparse.map") {
        numbers.extend(map.split(|&byte| byte == b',').map(number::decimal));
    } else {
        for (key, value) in extensions.records() {
            // Offsets and lengths alternate, offsets first.
            let place: &[u8] = if numbers.len() % 2 == 0 { b"offset" } else { b"numbytes" };
            match key.strip_prefix(b"GNU.sparse.") {
                Some(found) if found == place => numbers.push(number::decimal(value)),
                Some(b"offset" | b"numbytes") => return Err(ArchiveError::SparseMap),
                _ => {}
            }
        }
    }
    let count = extensions.pax("GNU.sparse.numblocks").and_then(number::decimal);
    if count.is_some_and(|count| count != (numbers.len() / 2) as u64) || numbers.len() % 2 != 0 {
        return Err(ArchiveError::SparseMap);
    }
    let mut segments = Vec::new();
    for pair in numbers.chunks_exact(2) {
        let (Some(offset), Some(length)) = (pair[0], pair[1]) else {
            return Err(ArchiveError::SparseMap);
        };
        push(&mut segments, Segment { offset, length }, limit)?;
    }
    Ok(segments)
}

/// Reads the map of format 1.0: decimal numbers on lines of their own, padded to whole blocks.
fn map_before_content(archive: &mut Archive<'_>, limit: usize) -> Result<Vec<Segment>, ArchiveError> {
    let before = archive.content;
    let count = line(archive)?;
    let mut segments = Vec::new();
    for _ in 0..count {
        let segment = Segment {
            offset: line(archive)?,
            length: line(archive)?,
        };
        push(&mut segments, segment, limit)?;
    }
    let used = before - archive.content;
    let padding = used.next_multiple_of(BLOCK as u64) - used;
    if padding > archive.content {
        return Err(ArchiveError::SparseMap);
    }
    archive.skip(padding)?;
    archive.content -= padding;
    Ok(segments)
}

/// Reads one line of the map.
fn line(archive: &mut Archive<'_>) -> Result<u64, ArchiveError> {
    /// More digits than any number has.
    const LONGEST: usize = 24;
    let text = archive.content(LONGEST)?;
    let end = text
        .iter()
        .take(LONGEST)
        .position(|&byte| byte == b'\n')
        .ok_or(ArchiveError::SparseMap)?;
    let value = number::decimal(&text[..end]).ok_or(ArchiveError::SparseMap)?;
    archive.consume(end + 1);
    Ok(value)
}
