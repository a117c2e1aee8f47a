//! The bytes of a stat cache; the layout is drawn in the parent module.

use std::collections::HashMap;

use registry::oci::Digest;
use snapshotter::Timestamp;

use super::{Record, Stamp};
use crate::context::FileContent;

const MAGIC: &[u8] = b"croze stat cache 1\n";

/// Length of a record with a path of usual length, in bytes.
const TYPICAL_RECORD: usize = 128;

/// Length of the digest at the end in bytes.
const DIGEST: usize = 32;

/// Returns the bytes of a cache, each record one build older.
pub(super) fn encode(records: &HashMap<Box<[u8]>, Record>) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    for (path, Record { stamp, content, unseen }) in records {
        let Ok(length) = u32::try_from(path.len()) else {
            continue;
        };
        out.extend(length.to_le_bytes());
        out.extend_from_slice(path);
        let Stamp {
            dev: (major, minor),
            ino,
            size,
            mode,
            mtime,
            ctime,
        } = stamp;
        out.extend(major.to_le_bytes());
        out.extend(minor.to_le_bytes());
        out.extend(ino.to_le_bytes());
        out.extend(size.to_le_bytes());
        out.extend(mode.to_le_bytes());
        for Timestamp { seconds, nanos } in [mtime, ctime] {
            out.extend(seconds.to_le_bytes());
            out.extend(nanos.to_le_bytes());
        }
        out.extend(content.digest.as_bytes());
        out.push(content.has_xattrs.into());
        out.push(unseen.saturating_add(1));
    }
    let digest = Digest::of(&out);
    out.extend(digest.as_bytes());
    out
}

/// Returns the records, or `None` if a single bit is not as it was written.
pub(super) fn decode(bytes: &[u8]) -> Option<HashMap<Box<[u8]>, Record>> {
    let (body, digest) = bytes.split_at_checked(bytes.len().checked_sub(DIGEST)?)?;
    if Digest::of(body).as_bytes() != digest {
        return None;
    }
    let mut input = Input(body.strip_prefix(MAGIC)?);
    // Growing a large map step by step costs more than reading it.
    let mut records = HashMap::with_capacity(body.len() / TYPICAL_RECORD);
    while !input.0.is_empty() {
        let length = u32::from_le_bytes(input.array()?);
        let path = input.take(length.try_into().ok()?)?;
        let stamp = Stamp {
            dev: (u32::from_le_bytes(input.array()?), u32::from_le_bytes(input.array()?)),
            ino: u64::from_le_bytes(input.array()?),
            size: u64::from_le_bytes(input.array()?),
            mode: u32::from_le_bytes(input.array()?),
            mtime: input.time()?,
            ctime: input.time()?,
        };
        let digest = Digest::from_bytes(input.array()?);
        let [has_xattrs, unseen] = input.array()?;
        let content = FileContent {
            digest,
            has_xattrs: has_xattrs != 0,
        };
        records.insert(path.into(), Record { stamp, content, unseen });
    }
    Some(records)
}

/// Bytes that are still to be read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn time(&mut self) -> Option<Timestamp> {
        Some(Timestamp {
            seconds: i64::from_le_bytes(self.array()?),
            nanos: u32::from_le_bytes(self.array()?),
        })
    }
}
