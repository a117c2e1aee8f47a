//! The header of one archive member: a `ustar` block, preceded by PAX records for what that cannot say.

use tar::{EntryType, Header};

use crate::layer::BLOCK;
use crate::xattr::Xattr;

/// What precedes the content of one member.
pub(super) struct Member<'a> {
    pub(super) path: &'a [u8],
    pub(super) entry_type: EntryType,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Content length in bytes.
    pub(super) size: u64,
    /// Seconds since 1970.
    pub(super) mtime: i64,
    /// Target of a symbolic link, or path of the member that a hard link shares its inode with.
    pub(super) link: &'a [u8],
    /// Major and minor number of a device.
    pub(super) device: (u32, u32),
    /// Sorted by name.
    pub(super) xattrs: &'a [Xattr],
}

/// The name of the pseudo member that holds PAX records; readers ignore it.
const PAX_MEMBER: &[u8] = b"././@PaxHeader";

impl<'a> Member<'a> {
    /// Returns a deletion: an empty file of which only the name counts.
    pub(super) fn whiteout(path: &'a [u8]) -> Self {
        Self {
            path,
            entry_type: EntryType::Regular,
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: 0,
            link: b"",
            device: (0, 0),
            xattrs: &[],
        }
    }

    /// Appends the header blocks.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut block = Header::new_ustar();
        let records = self.fill(&mut block);
        if !records.is_empty() {
            let mut pax = Header::new_ustar();
            let member = Member {
                path: PAX_MEMBER,
                entry_type: EntryType::XHeader,
                mode: 0o644,
                size: records.len() as u64,
                ..Member::whiteout(b"")
            };
            member.fill(&mut pax);
            out.extend_from_slice(pax.as_bytes());
            out.extend_from_slice(&records);
            out.resize(out.len().next_multiple_of(BLOCK), 0);
        }
        out.extend_from_slice(block.as_bytes());
    }

    /// Fills in a header block and returns the PAX records, sorted by key, for what did not fit.
    fn fill(&self, block: &mut Header) -> Vec<u8> {
        let mut records = Vec::new();
        block.set_entry_type(self.entry_type);
        let Some(ustar) = block.as_ustar_mut() else {
            return records;
        };
        for xattr in self.xattrs {
            record(
                &mut records,
                &[b"SCHILY.xattr.", xattr.name.as_slice()].concat(),
                &xattr.value,
            );
        }
        if !octal(&mut ustar.gid, self.gid.into()) {
            record(&mut records, b"gid", self.gid.to_string().as_bytes());
        }
        if !text(&mut ustar.linkname, self.link) {
            record(&mut records, b"linkpath", self.link);
        }
        if !u64::try_from(self.mtime).is_ok_and(|mtime| octal(&mut ustar.mtime, mtime)) {
            record(&mut records, b"mtime", self.mtime.to_string().as_bytes());
        }
        if !path(&mut ustar.name, &mut ustar.prefix, self.path) {
            record(&mut records, b"path", self.path);
        }
        if !octal(&mut ustar.size, self.size) {
            record(&mut records, b"size", self.size.to_string().as_bytes());
        }
        if !octal(&mut ustar.uid, self.uid.into()) {
            record(&mut records, b"uid", self.uid.to_string().as_bytes());
        }
        octal(&mut ustar.mode, self.mode.into());
        octal(&mut ustar.dev_major, self.device.0.into());
        octal(&mut ustar.dev_minor, self.device.1.into());
        checksum(block);
        records
    }
}

/// Writes a number as octal digits and NUL; returns whether it fits. What does not is written as 0.
fn octal(field: &mut [u8], value: u64) -> bool {
    let digits = field.len() - 1;
    let fits = value < 1 << (3 * digits);
    let mut rest = if fits { value } else { 0 };
    field[digits] = 0;
    for digit in field[..digits].iter_mut().rev() {
        *digit = b'0' + (rest & 7) as u8;
        rest >>= 3;
    }
    fits
}

/// Writes the sum of a header's bytes, the checksum's own taken as spaces, in the form of every other writer: six
/// digits, NUL, space.
fn checksum(block: &mut Header) {
    block.as_old_mut().cksum = *b"        ";
    let sum = block.as_bytes().iter().map(|&byte| u64::from(byte)).sum();
    octal(&mut block.as_old_mut().cksum[..7], sum);
}

/// Writes as much of a text as fits; returns whether that says it all. The standard allows ASCII only.
fn text(field: &mut [u8], value: &[u8]) -> bool {
    let length = value.len().min(field.len());
    field[..length].copy_from_slice(&value[..length]);
    length == value.len() && value.is_ascii()
}

/// Writes a path, divided at a slash when it is long; returns whether that says it all.
fn path(name: &mut [u8; 100], prefix: &mut [u8; 155], path: &[u8]) -> bool {
    if path.len() <= name.len() || !path.is_ascii() {
        return text(name, path);
    }
    // The last slash that leaves a short enough prefix; a directory's own slash divides nothing.
    let end = (prefix.len() + 1).min(path.len() - 1);
    match path[..end].iter().rposition(|&byte| byte == b'/') {
        Some(slash @ 1..) if path.len() - slash - 1 <= name.len() => {
            text(prefix, &path[..slash]) & text(name, &path[slash + 1..])
        }
        _ => text(name, path),
    }
}

/// Appends one PAX record: its own length in decimal, a space, `key=value` and a line break.
fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
