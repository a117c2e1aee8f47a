//! From header blocks and extended headers to one entry.

use tar::{EntryType, Header};

use super::{ArchiveError, Entry, Kind, Segment, number, pax};
use crate::attributes::Timestamp;

/// The extended headers that precede one entry.
#[derive(Default)]
pub(super) struct Extensions {
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    has_pax: bool,
    /// In the order of the archive.
    records: Vec<(Vec<u8>, Vec<u8>)>,
    /// Bytes of all of them.
    length: usize,
}

impl Extensions {
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn add_pax(&mut self, content: &[u8]) -> Result<(), ArchiveError> {
        if std::mem::replace(&mut self.has_pax, true) {
            return Err(ArchiveError::Ambiguous("two PAX headers"));
        }
        // An extension counts at least one byte, so that an empty one is not overlooked at the end of the archive.
        self.length += content.len().max(1);
        for (key, value) in pax::records(content)? {
            self.records.push((key.to_vec(), value.to_vec()));
        }
        Ok(())
    }

    pub(super) fn add_long_path(&mut self, content: Vec<u8>) -> Result<(), ArchiveError> {
        self.length += content.len().max(1);
        match self.long_path.replace(long_name(content)?) {
            Some(_) => Err(ArchiveError::Ambiguous("two long names")),
            None => Ok(()),
        }
    }

    pub(super) fn add_long_link(&mut self, content: Vec<u8>) -> Result<(), ArchiveError> {
        self.length += content.len().max(1);
        match self.long_link.replace(long_name(content)?) {
            Some(_) => Err(ArchiveError::Ambiguous("two long link names")),
            None => Ok(()),
        }
    }

    /// Returns all PAX records.
    pub(super) fn records(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.records
            .iter()
            .map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    /// Returns the value of a PAX key: the last one counts, and an empty one counts as none.
    pub(super) fn pax(&self, key: &str) -> Option<&[u8]> {
        let last = self.records().filter(|(found, _)| *found == key.as_bytes()).last();
        last.map(|(_, value)| value).filter(|value| !value.is_empty())
    }

    /// Returns the name that replaces the one in the header.
    fn name(&self, long: Option<&Vec<u8>>, key: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        // To some an empty name is empty, to others it is none.
        if self
            .records()
            .any(|(found, value)| found == key.as_bytes() && value.is_empty())
        {
            return Err(ArchiveError::Ambiguous("an empty name in a PAX header"));
        }
        match (self.pax(key), long) {
            (Some(_), Some(_)) => Err(ArchiveError::Ambiguous("a PAX name and a GNU name")),
            (Some(name), None) if name.contains(&0) => Err(ArchiveError::NulInName),
            (Some(name), None) => Ok(Some(name.to_vec())),
            (None, long) => Ok(long.cloned()),
        }
    }

    fn decimal(&self, key: &'static str) -> Result<Option<u64>, ArchiveError> {
        let Some(text) = self.pax(key) else { return Ok(None) };
        number::decimal(text)
            .map(Some)
            .ok_or(ArchiveError::Number { field: key })
    }
}

/// Returns a GNU long name without the NUL that ends it.
fn long_name(mut content: Vec<u8>) -> Result<Vec<u8>, ArchiveError> {
    let end = content.iter().position(|&byte| byte == 0).unwrap_or(content.len());
    if content[end..].iter().any(|&byte| byte != 0) {
        return Err(ArchiveError::NulInName);
    }
    content.truncate(end);
    Ok(content)
}

/// Checks a header's checksum: the sum of its bytes, the checksum's own taken as spaces. Old writers summed signed
/// bytes.
pub(super) fn verify(header: &Header) -> Result<(), ArchiveError> {
    let bytes = header.as_bytes();
    let covered = || bytes[..148].iter().chain(&[b' '; 8]).chain(&bytes[156..]);
    let unsigned: i64 = covered().map(|&byte| i64::from(byte)).sum();
    let signed: i64 = covered().map(|&byte| i64::from(byte.cast_signed())).sum();
    match number::field(&header.as_old().cksum, "checksum") {
        Ok(sum) if sum == unsigned || sum == signed => Ok(()),
        _ => Err(ArchiveError::Checksum),
    }
}

/// Returns the content length that a header block gives.
pub(super) fn size(header: &Header) -> Result<u64, ArchiveError> {
    let size = number::field(&header.as_old().size, "size")?;
    u64::try_from(size).map_err(|_| ArchiveError::Number { field: "size" })
}

/// Checks a global PAX header. Docker ignores them and `tar` does not, so only those that change nothing pass, like
/// the comment that `git archive` writes.
pub(super) fn check_global(content: &[u8]) -> Result<(), ArchiveError> {
    for (key, _) in pax::records(content)? {
        let changes = matches!(key, b"path" | b"linkpath" | b"size" | b"uid" | b"gid" | b"mtime");
        if changes || key.starts_with(b"GNU.sparse.") || key.starts_with(b"SCHILY.xattr.") {
            return Err(ArchiveError::Ambiguous("a global header that describes files"));
        }
    }
    Ok(())
}

/// Puts an entry together, and returns it with the length of its content in the archive.
pub(super) fn entry(header: &Header, extensions: &Extensions) -> Result<(Entry, u64), ArchiveError> {
    let old = header.as_old();
    let mut path = match extensions.name(extensions.long_path.as_ref(), "path")? {
        Some(path) => path,
        None => header.path_bytes().into_owned(),
    };
    if let Some(name) = extensions.pax("GNU.sparse.name") {
        let tell_of_a_map = ["GNU.sparse.major", "GNU.sparse.map", "GNU.sparse.numblocks"];
        if !tell_of_a_map.iter().any(|key| extensions.pax(key).is_some()) {
            // Go takes the name for nothing then, GNU tar for the name all the same.
            return Err(ArchiveError::Ambiguous("a sparse file's name for one that is none"));
        }
        path = name.to_vec();
    }
    if path.contains(&0) {
        return Err(ArchiveError::NulInName);
    }
    let kind = kind(header, &path)?;
    let link = match extensions.name(extensions.long_link.as_ref(), "linkpath")? {
        Some(link) => link,
        None => until_nul(&old.linkname).to_vec(),
    };
    let stored = extensions.decimal("size")?.map_or_else(|| size(header), Ok)?;
    // Offsets are signed in the kernel; a larger size could not be a file's.
    if i64::try_from(stored).is_err() {
        return Err(ArchiveError::Number { field: "size" });
    }
    let is_sparse = extensions.records().any(|(key, _)| key.starts_with(b"GNU.sparse."));
    if is_sparse && !matches!(old.linkflag[0], b'0' | b'S') {
        return Err(ArchiveError::Ambiguous(
            "a sparse map for an entry that is not a plain file",
        ));
    }
    let slash = |name: &[u8]| name.ends_with(b"/");
    if old.linkflag[0] == 0 && slash(&path) != slash(&header.path_bytes()) {
        return Err(ArchiveError::Ambiguous(
            "a directory to those who read one of its names only",
        ));
    }
    if kind != Kind::File && stored != 0 {
        return Err(ArchiveError::Ambiguous("content on an entry that is not a file"));
    }
    let mtime = match extensions.pax("mtime") {
        Some(text) => number::time(text).ok_or(ArchiveError::Number { field: "mtime" })?,
        None => Timestamp::from_seconds(number::field(&old.mtime, "mtime")?),
    };
    let entry = Entry {
        path,
        kind,
        mode: (number::field(&old.mode, "mode")? & 0o7777) as u32,
        uid: id(extensions, "uid", &old.uid)?,
        gid: id(extensions, "gid", &old.gid)?,
        mtime,
        link,
        device: device(header, kind)?,
        xattrs: xattrs(extensions),
        size: stored,
        segments: vec![Segment {
            offset: 0,
            length: stored,
        }],
    };
    Ok((entry, stored))
}

fn kind(header: &Header, path: &[u8]) -> Result<Kind, ArchiveError> {
    let flag = header.as_old().linkflag[0];
    let ends_with_slash = path.ends_with(b"/");
    Ok(match (header.entry_type(), flag) {
        // Before directories had a type, they had a slash.
        (_, 0) if ends_with_slash => Kind::Directory,
        (EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse, _) if ends_with_slash => {
            return Err(ArchiveError::Ambiguous("a file with the name of a directory"));
        }
        (EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse, _) => Kind::File,
        (EntryType::Link, _) => Kind::HardLink,
        (EntryType::Symlink, _) => Kind::Symlink,
        (EntryType::Char, _) => Kind::CharacterDevice,
        (EntryType::Block, _) => Kind::BlockDevice,
        (EntryType::Directory, _) => Kind::Directory,
        (EntryType::Fifo, _) => Kind::Fifo,
        _ => return Err(ArchiveError::UnknownType(flag)),
    })
}

/// Returns a user or group id. The largest one is none: `chown` takes it for "leave as it is".
fn id(extensions: &Extensions, key: &'static str, field: &[u8]) -> Result<u32, ArchiveError> {
    let id = match extensions.decimal(key)? {
        Some(id) => i64::try_from(id).ok(),
        None => Some(number::field(field, key)?),
    };
    let id = id.and_then(|id| u32::try_from(id).ok()).filter(|&id| id != u32::MAX);
    id.ok_or(ArchiveError::Number { field: key })
}

fn device(header: &Header, kind: Kind) -> Result<(u32, u32), ArchiveError> {
    if !matches!(kind, Kind::CharacterDevice | Kind::BlockDevice) {
        return Ok((0, 0));
    }
    let (major, minor) = match (header.as_ustar(), header.as_gnu()) {
        (Some(ustar), _) => (&ustar.dev_major, &ustar.dev_minor),
        (None, Some(gnu)) => (&gnu.dev_major, &gnu.dev_minor),
        (None, None) => return Err(ArchiveError::Number { field: "device" }),
    };
    let number = |field: &[u8]| {
        let number = number::field(field, "device")?;
        u32::try_from(number).map_err(|_| ArchiveError::Number { field: "device" })
    };
    Ok((number(major)?, number(minor)?))
}

fn xattrs(extensions: &Extensions) -> Vec<(Vec<u8>, Vec<u8>)> {
    let named = extensions
        .records()
        .filter_map(|(key, value)| Some((key.strip_prefix(b"SCHILY.xattr.")?, value)));
    named.map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}
