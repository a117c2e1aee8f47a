//! Sending messages to sockets that have a path.

use super::path::{Way, with_memory};
use super::patiently;
use crate::supervisor::call::{Call, Outcome};
use crate::supervisor::find::Found;
use crate::sys;

/// Where the fields of a `struct msghdr` are that are looked at or replaced, in bytes.
const NAME: usize = 0;
const NAME_LENGTH: usize = 8;
const PIECES: usize = 16;
const PIECE_COUNT: usize = 24;

/// What is sent: the head of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::supervisor) struct Header {
    /// A `struct msghdr`.
    bytes: [u8; Self::SIZE],
    /// A `struct iovec`, if it is the only one and not in the caller's memory.
    piece: Option<[u64; 2]>,
}

/// How the caller is told how much was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::supervisor) enum Written {
    /// Its call returns it.
    AsResult,
    /// It is at an address, and the call returns that one message was sent.
    InMemory(u64),
}

impl Header {
    /// Size of one.
    pub(in crate::supervisor) const SIZE: usize = 56;

    /// Takes over the caller's.
    pub(in crate::supervisor) fn read(bytes: [u8; Self::SIZE]) -> Self {
        Self { bytes, piece: None }
    }

    /// Returns that of a message which is in one piece, at an address.
    pub(in crate::supervisor) fn of_bytes(address: u64, length: u64) -> Self {
        Self {
            bytes: [0; Self::SIZE],
            piece: Some([address, length]),
        }
    }

    /// Returns where the address is to which it is sent, and its length.
    pub(in crate::supervisor) fn name(&self) -> (u64, u32) {
        let length = self.word(NAME_LENGTH) as u32;
        (self.word(NAME), length)
    }

    /// Returns what is to be at an address for the message to be sent to another one.
    fn at(mut self, at: u64, address: &[u8]) -> Vec<u8> {
        let behind = at + Self::SIZE as u64;
        let piece: Vec<u8> = self
            .piece
            .iter()
            .flatten()
            .flat_map(|word| word.to_ne_bytes())
            .collect();
        if self.piece.is_some() {
            self.set(PIECES, behind);
            self.set(PIECE_COUNT, 1);
        }
        self.set(NAME, behind + piece.len() as u64);
        self.set(NAME_LENGTH, address.len() as u64);
        [&self.bytes[..], &piece, address].concat()
    }

    fn word(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.bytes[at..at + 8].try_into().unwrap_or_default())
    }

    fn set(&mut self, at: usize, word: u64) {
        self.bytes[at..at + 8].copy_from_slice(&word.to_ne_bytes());
    }
}

/// Sends a message of the caller's to a socket, whose owner may have to make room for it first.
pub(in crate::supervisor) fn send(
    call: &Call<'_>,
    found: &Found,
    header: Header,
    flags: u64,
    written: Written,
) -> Outcome {
    let (socket, way) = (call.argument(0), Way::to(call, found)?);
    patiently(call, move |detour| {
        let pass = detour.pass.0;
        detour.take(&way.lent(), |caller, lent| {
            let sent = way.with_address(caller, lent, |caller, address| {
                with_memory(
                    caller,
                    |at| header.at(at, address),
                    |caller, at| caller.call_interruptibly(libc::SYS_sendmsg, [socket, at, flags, 0, 0, pass]),
                )
            })?;
            let Written::InMemory(place) = written else {
                return Ok(sent);
            };
            let Ok(length) = u32::try_from(sent) else {
                return Ok(sent);
            };
            sys::write_memory(caller.thread(), place, &length.to_ne_bytes())?;
            Ok(1)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_the_c_library_has_them() {
        use std::mem::offset_of;
        assert_eq!(Header::SIZE, size_of::<libc::msghdr>());
        assert_eq!(NAME, offset_of!(libc::msghdr, msg_name));
        assert_eq!(NAME_LENGTH, offset_of!(libc::msghdr, msg_namelen));
        assert_eq!(PIECES, offset_of!(libc::msghdr, msg_iov));
        assert_eq!(PIECE_COUNT, offset_of!(libc::msghdr, msg_iovlen));
        assert_eq!(Header::SIZE, offset_of!(libc::mmsghdr, msg_len));
    }

    #[test]
    fn a_message_is_sent_to_another_address_and_else_as_it_is() {
        let bytes: Vec<u8> = (0..Header::SIZE as u8).collect();
        let header = Header::read(bytes.clone().try_into().unwrap());
        let placed = header.at(0x1000, b"address");
        assert_eq!(&placed[Header::SIZE..], b"address");
        let moved = Header::read(placed[..Header::SIZE].try_into().unwrap());
        assert_eq!(moved.name(), (0x1000 + Header::SIZE as u64, 7));
        assert_eq!(moved.bytes[16..], bytes[16..]);
        let placed = Header::of_bytes(0x77, 5).at(0x1000, b"a");
        let moved = Header::read(placed[..Header::SIZE].try_into().unwrap());
        assert_eq!((moved.word(PIECES), moved.word(PIECE_COUNT)), (0x1000 + 56, 1));
        assert_eq!(placed[56..72], [0x77_u64.to_ne_bytes(), 5_u64.to_ne_bytes()].concat());
        assert_eq!(moved.name(), (0x1000 + 72, 1));
    }
}
