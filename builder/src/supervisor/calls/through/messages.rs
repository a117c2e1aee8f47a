//! Messages to sockets that have a path, where the kernel has another root than the step.

use super::elsewhere::find_socket;
use crate::supervisor::call::{Call, Outcome, Reply};
use crate::supervisor::calls::sockets::path_at;
use crate::supervisor::detour::{self, Header, Written};

/// `sendto(2)`: a socket, bytes, their number, flags, an address, its length.
pub(in crate::supervisor::calls) fn send_to(call: &Call<'_>) -> Outcome {
    let Some(path) = path_at(call, call.argument(4), call.word(5))? else {
        return Ok(Reply::Continue);
    };
    let found = find_socket(call, &path)?;
    let header = Header::of_bytes(call.argument(1), call.argument(2));
    detour::send(call, &found, header, call.argument(3), Written::AsResult)
}

/// `sendmsg(2)`: a socket, a header, flags.
pub(in crate::supervisor::calls) fn send_message(call: &Call<'_>) -> Outcome {
    send(call, call.argument(1), call.argument(2), Written::AsResult)
}

/// `sendmmsg(2)`: a socket, headers, their number, flags. Who sends several must be content with fewer, and sends the rest
/// again; so of those that begin with a message to a path only that one is sent. At a later one the kernel, which does not find
/// the path, stops.
pub(in crate::supervisor::calls) fn send_messages(call: &Call<'_>) -> Outcome {
    if call.word(2) == 0 {
        return Ok(Reply::Continue);
    }
    let first = call.argument(1);
    let length = Written::InMemory(first + Header::SIZE as u64);
    send(call, first, call.argument(3), length)
}

fn send(call: &Call<'_>, address: u64, flags: u64, written: Written) -> Outcome {
    let mut bytes = [0; Header::SIZE];
    call.read(address, &mut bytes)?;
    let header = Header::read(bytes);
    let (name, length) = header.name();
    if name == 0 {
        return Ok(Reply::Continue);
    }
    match path_at(call, name, length)? {
        Some(path) => detour::send(call, &find_socket(call, &path)?, header, flags, written),
        None => Ok(Reply::Continue),
    }
}
