//! A writer of archives that may lie: attacks are code here, so that they can be read.

/// One header block, with every field free.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) name: Vec<u8>,
    pub(crate) flag: u8,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) mtime: u64,
    pub(crate) link: Vec<u8>,
    pub(crate) device: (u32, u32),
    pub(crate) content: Vec<u8>,
    /// What the header says of the content's length, when that is not the truth.
    pub(crate) size: Option<u64>,
    pub(crate) magic: &'static [u8; 8],
    pub(crate) break_checksum: bool,
}

pub(crate) const USTAR: &[u8; 8] = b"ustar\x0000";
pub(crate) const GNU: &[u8; 8] = b"ustar  \0";
pub(crate) const V7: &[u8; 8] = &[0; 8];

impl Header {
    pub(crate) fn new(flag: u8, name: impl AsRef<[u8]>) -> Self {
        Self {
            name: name.as_ref().to_vec(),
            flag,
            mode: if flag == b'5' { 0o755 } else { 0o644 },
            uid: 0,
            gid: 0,
            mtime: 1_000_000_000,
            link: Vec::new(),
            device: (0, 0),
            content: Vec::new(),
            size: None,
            magic: USTAR,
            break_checksum: false,
        }
    }

    pub(crate) fn file(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        Self {
            content: content.as_ref().to_vec(),
            ..Self::new(b'0', name)
        }
    }

    pub(crate) fn dir(name: impl AsRef<[u8]>) -> Self {
        Self::new(b'5', name)
    }

    pub(crate) fn symlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self {
            link: target.as_ref().to_vec(),
            ..Self::new(b'2', name)
        }
    }

    pub(crate) fn hard_link(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self {
            link: target.as_ref().to_vec(),
            ..Self::new(b'1', name)
        }
    }

    pub(crate) fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    pub(crate) fn owner(self, uid: u64, gid: u64) -> Self {
        Self { uid, gid, ..self }
    }

    /// Returns the header's block and its padded content.
    pub(crate) fn blocks(&self) -> Vec<u8> {
        let mut block = [0_u8; 512];
        put(&mut block[..100], &self.name);
        number(&mut block[100..108], self.mode.into());
        number(&mut block[108..116], self.uid);
        number(&mut block[116..124], self.gid);
        number(&mut block[124..136], self.size.unwrap_or(self.content.len() as u64));
        number(&mut block[136..148], self.mtime);
        block[148..156].fill(b' ');
        block[156] = self.flag;
        put(&mut block[157..257], &self.link);
        block[257..265].copy_from_slice(self.magic);
        number(&mut block[329..337], self.device.0.into());
        number(&mut block[337..345], self.device.1.into());
        checksum(&mut block, self.break_checksum);
        let mut bytes = block.to_vec();
        bytes.extend_from_slice(&self.content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }
}

/// Puts the right checksum, or a wrong one, into a header block.
pub(crate) fn checksum(block: &mut [u8; 512], wrong: bool) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum::<u32>() + u32::from(wrong);
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn put(field: &mut [u8], value: &[u8]) {
    let length = value.len().min(field.len());
    field[..length].copy_from_slice(&value[..length]);
}

/// Writes octal, or GNU's base-256 form where that does not fit.
fn number(field: &mut [u8], value: u64) {
    let octal = format!("{value:0width$o}\0", width = field.len() - 1);
    if octal.len() == field.len() {
        field.copy_from_slice(octal.as_bytes());
    } else {
        field.fill(0);
        let start = field.len() - 8;
        field[start..].copy_from_slice(&value.to_be_bytes());
        field[0] |= 0x80;
    }
}

/// Returns one PAX record.
pub(crate) fn record(key: &str, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    let rest = key.len() + value.len() + 3;
    let length = (1..10)
        .map(|digits| rest + digits)
        .find(|length| rest + length.to_string().len() == *length)
        .unwrap();
    [length.to_string().as_bytes(), b" ", key.as_bytes(), b"=", value, b"\n"].concat()
}

/// Returns a PAX header with records, as a member to precede another.
pub(crate) fn pax(records: &[(&str, &[u8])]) -> Header {
    let content = records.iter().flat_map(|(key, value)| record(key, value)).collect();
    Header {
        content,
        ..Header::new(b'x', "PaxHeaders/x")
    }
}

/// Returns a GNU header that holds a long name (`L`) or a long link target (`K`).
pub(crate) fn long(flag: u8, name: impl AsRef<[u8]>) -> Header {
    let content = [name.as_ref(), b"\0"].concat();
    Header {
        content,
        magic: GNU,
        ..Header::new(flag, "././@LongLink")
    }
}

/// Returns a whole archive.
pub(crate) fn archive(members: &[Header]) -> Vec<u8> {
    let mut bytes: Vec<u8> = members.iter().flat_map(Header::blocks).collect();
    bytes.extend_from_slice(&[0; 1024]);
    bytes
}
