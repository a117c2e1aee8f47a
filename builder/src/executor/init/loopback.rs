//! A network of a step's own: nothing but loopback, brought up by a netlink message.

use std::cell::Cell;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};

use nix::sched::CloneFlags;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};
use rustix::process::{PidfdFlags, WaitOptions, pidfd_open, waitpid};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use crate::sys;

/// Index of `lo`: the first interface of every namespace.
const LOOPBACK: i32 = 1;

const RTM_NEWLINK: u16 = 16;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const IFF_UP: u32 = 1;

/// Length of a netlink header, and of the answer's error number after it, in bytes.
const HEADER: usize = 16;
const ERROR: usize = 4;

/// Enters a new network namespace in which it is up.
///
/// That takes `CAP_NET_ADMIN`, which containers withhold even from who may make namespaces. In a user namespace of its
/// own everybody has it: a child process makes the network there, and this one enters it.
pub(super) fn enter_network() -> io::Result<()> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNET)?;
    match up() {
        Err(Errno::PERM) => enter_childs_network(),
        result => Ok(result?),
    }
}

fn enter_childs_network() -> io::Result<()> {
    let (mut made, their_made) = io::pipe()?;
    let (their_leave, leave) = io::pipe()?;
    let ours = Cell::new(Some(leave));
    let life = || {
        drop(ours.take());
        u8::from(make_network(their_made, their_leave).is_err())
    };
    let child = sys::fork(life)?;
    made.read_exact(&mut [0])?;
    // Not through /proc, which may number processes otherwise than this namespace does.
    let process = pidfd_open(child, PidfdFlags::empty())?;
    move_into_thread_name_spaces(process.as_fd(), ThreadNameSpaceType::NETWORK)?;
    drop(ours);
    while let Err(Errno::INTR) = waitpid(Some(child), WaitOptions::empty()) {}
    Ok(())
}

/// The child's life: it stays until its namespace has been opened.
fn make_network(mut made: PipeWriter, mut leave: PipeReader) -> io::Result<()> {
    nix::sched::unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)?;
    up()?;
    made.write_all(b"m")?;
    leave.read_to_end(&mut Vec::new()).map(drop)
}

/// Brings it up.
fn up() -> rustix::io::Result<()> {
    let socket: OwnedFd = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None, // protocol 0: NETLINK_ROUTE
    )?;
    send(&socket, &request(), SendFlags::empty())?;
    let mut answer = [0; 256];
    let (length, _) = recv(&socket, &mut answer[..], RecvFlags::empty())?;
    let error = answer
        .get(HEADER..HEADER + ERROR)
        .filter(|_| length >= HEADER + ERROR)
        .ok_or(Errno::BADMSG)?;
    match i32::from_ne_bytes([error[0], error[1], error[2], error[3]]) {
        0 => Ok(()),
        number => Err(Errno::from_raw_os_error(-number)),
    }
}

/// A `nlmsghdr` and an `ifinfomsg` that set the flag IFF_UP and no other.
fn request() -> Vec<u8> {
    let mut message = Vec::with_capacity(32);
    message.extend(32u32.to_ne_bytes()); // length of all
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend((NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    message.extend([0; 8]); // sequence number, port
    message.extend([0; 4]); // family, padding, device type
    message.extend(LOOPBACK.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes()); // flags
    message.extend(IFF_UP.to_ne_bytes()); // which of them change
    message
}
