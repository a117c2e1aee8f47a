//! Unix sockets: whose a new one is, and who is at the other end.

use std::ffi::CString;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use rustix::io::Errno;
use rustix::process::Pid;

use crate::supervisor::call::{AT_FDCWD, Call, DONE, Outcome, Reply};
use crate::supervisor::find::Last;
use crate::supervisor::permission::{self, Wanted};
use crate::sys;

/// Size of a family of addresses, which every address starts with.
const FAMILY: usize = 2;
/// The longest path that an address holds.
const MAX_PATH: usize = 108;

pub(super) fn bind(call: &Call<'_>) -> Outcome {
    let Some(path) = path_in_address(call)? else {
        return Ok(Reply::Continue);
    };
    let found = call.find_name(AT_FDCWD, &path, Last::Keep)?;
    if found.file.is_some() {
        return Ok(Reply::Continue);
    }
    let directory = call.attributes(&found.directory)?;
    permission::may(&call.credentials, &directory, Wanted::CHANGE_NAMES)?;
    let new = permission::of_new_file(&call.credentials, &directory, libc::S_IFSOCK);
    let specials = &call.step.inodes.specials;
    if !new.is_root() || !specials.is_empty() {
        specials.expect(found.directory, found.name, (new.uid, new.gid))?;
    }
    Ok(Reply::Continue)
}

/// Returns the path of the Unix socket that a call's second argument is the address of, if it is one.
pub(super) fn path_in_address(call: &Call<'_>) -> Result<Option<CString>, Errno> {
    path_at(call, call.argument(1), call.word(2))
}

/// Returns the path in the address of a Unix socket, if it is one, of so many bytes.
pub(super) fn path_at(call: &Call<'_>, address: u64, length: u32) -> Result<Option<CString>, Errno> {
    let mut bytes = [0; FAMILY + MAX_PATH];
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let bytes = &mut bytes[..length.min(FAMILY + MAX_PATH)];
    call.read(address, bytes)?;
    let Some((family, path)) = bytes.split_at_checked(FAMILY) else {
        return Ok(None);
    };
    let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
    // Those without a path have a name of another kind, or none.
    if family != (libc::AF_UNIX as u16).to_ne_bytes() || path.is_empty() {
        return Ok(None);
    }
    CString::new(path).map(Some).map_err(|_| Errno::INVAL)
}

/// `SO_PEERCRED`: the kernel knows which process it is, and the supervisor whom that takes itself for.
///
/// Where a container forbids to look at another process's sockets, the kernel's answer has to do: everybody is root.
pub(super) fn peer(call: &Call<'_>) -> Outcome {
    if call.word(1) != libc::SOL_SOCKET.cast_unsigned() {
        return Ok(Reply::Continue);
    }
    let process = call.place.process_of(call.thread())?;
    let Ok(socket) = sys::duplicate_descriptor(process, call.descriptor(0)) else {
        return Ok(Reply::Continue);
    };
    // Without a peer there is no process, which is number 0.
    let peer = getsockopt(&socket, PeerCredentials)
        .ok()
        .and_then(|peer| Pid::from_raw(peer.pid()));
    let Some(peer) = peer else {
        return Ok(Reply::Continue);
    };
    let Ok((_, credentials)) = call.step.states.of(call.place, peer) else {
        return Ok(Reply::Continue);
    };
    let Some(number) = call.number_of(peer)? else {
        return Ok(Reply::Continue);
    };
    let mut bytes = Vec::new();
    let ids = [credentials.users.effective, credentials.groups.effective];
    for word in [number.cast_unsigned(), ids[0], ids[1]] {
        bytes.extend(word.to_ne_bytes());
    }
    let room = call.read_word(call.argument(4))? as usize;
    bytes.truncate(room);
    call.write(call.argument(3), &bytes)?;
    call.write(call.argument(4), &(bytes.len() as u32).to_ne_bytes())?;
    Ok(DONE)
}
