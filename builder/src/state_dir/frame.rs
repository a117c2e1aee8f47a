//! The bytes of a small file: a record or a note.
//!
//! ```text
//! offset  bytes
//! 0       8      magic, `croze-rc`: a foreign file is recognised before anything is believed
//! 8       4      version of this format, little-endian
//! 12      4      length of the payload, little-endian: a file that was cut short is recognised
//! 16      n      payload, JSON: `cat` shows it
//! 16+n    4      CRC-32 of all bytes before, little-endian, last so that one pass can write it
//! ```
//!
//! The checksum finds accidents (a power cut, a bad disk), not malice: who may write the state directory may
//! write anything.

/// Recognises framed files.
const MAGIC: &[u8; 8] = b"croze-rc";
/// The format described above.
const VERSION: u32 = 1;
/// Bytes before the payload.
const HEADER: usize = 16;
/// Bytes after the payload.
const TRAILER: usize = 4;

/// The largest payload in bytes that is written or read.
pub const LIMIT: usize = 1 << 20;
/// The largest file in bytes that is a frame.
pub const FILE_LIMIT: usize = HEADER + LIMIT + TRAILER;

/// Puts a payload of at most [`LIMIT`] bytes into a frame; `None` if it is larger.
pub fn encode(payload: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(payload.len()).ok()?;
    if payload.len() > LIMIT {
        return None;
    }
    let mut bytes = Vec::with_capacity(HEADER + payload.len() + TRAILER);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    Some(bytes)
}

/// Why bytes are no frame of this version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoFrame {
    /// They were cut short, changed, or never were one.
    #[error("the frame is damaged")]
    Damaged,
    /// They may well be one, of a version that only others understand.
    #[error("the frame has version {0}")]
    OtherVersion(u32),
}

/// Returns the payload of a whole and undamaged frame.
///
/// # Errors
/// If it is none.
pub fn decode(bytes: &[u8]) -> Result<&[u8], NoFrame> {
    let (magic, rest) = bytes.split_first_chunk::<8>().ok_or(NoFrame::Damaged)?;
    let (version, _) = rest.split_first_chunk::<4>().ok_or(NoFrame::Damaged)?;
    match (magic == MAGIC, u32::from_le_bytes(*version)) {
        (true, VERSION) => payload(bytes).ok_or(NoFrame::Damaged),
        (true, other) => Err(NoFrame::OtherVersion(other)),
        (false, _) => Err(NoFrame::Damaged),
    }
}

/// Returns the payload of this version's frame, if its length and checksum are right.
fn payload(bytes: &[u8]) -> Option<&[u8]> {
    let (body, checksum) = bytes.split_last_chunk::<TRAILER>()?;
    let (length, payload) = body.get(HEADER - 4..)?.split_first_chunk::<4>()?;
    let sound = usize::try_from(u32::from_le_bytes(*length)) == Ok(payload.len())
        && u32::from_le_bytes(*checksum) == crc32fast::hash(body);
    sound.then_some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_gives_back_its_payload() {
        for payload in [&b""[..], b"x", &[0; 5000]] {
            let frame = encode(payload).unwrap();
            assert_eq!(decode(&frame), Ok(payload));
        }
        assert_eq!(encode(&vec![0; LIMIT]).map(|frame| frame.len()), Some(FILE_LIMIT));
        assert_eq!(encode(&vec![0; LIMIT + 1]), None);
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_found() {
        let frame = encode(b"a payload").unwrap();
        for bit in 0..frame.len() * 8 {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&damaged).is_err(), "bit {bit}");
        }
        for length in 0..frame.len() {
            assert!(decode(&frame[..length]).is_err(), "length {length}");
        }
        assert_eq!(decode(&[&frame[..], b"x"].concat()), Err(NoFrame::Damaged));
    }

    #[test]
    fn a_frame_of_another_version_is_not_taken_for_damage() {
        let mut frame = encode(b"a payload").unwrap();
        frame[8] = 2;
        assert_eq!(decode(&frame), Err(NoFrame::OtherVersion(2)));
    }
}
