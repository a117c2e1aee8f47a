//! A message with a descriptor, sent by a system call whose last argument, which it does not have, is given.

use std::io;

use rustix::fd::{AsRawFd, BorrowedFd, RawFd};

use super::check;

/// A control message that is one descriptor: its head, and room for the descriptor with what is behind it.
#[repr(C)]
struct Control {
    head: libc::cmsghdr,
    descriptor: RawFd,
    padding: u32,
}

/// Sends bytes and a copy of a descriptor through a Unix socket. `last` is what a filter finds as the last argument.
pub fn send_descriptor(socket: BorrowedFd<'_>, bytes: &[u8], descriptor: BorrowedFd<'_>, last: u64) -> io::Result<()> {
    let mut control = Control {
        head: libc::cmsghdr {
            cmsg_len: size_of::<libc::cmsghdr>() + size_of::<RawFd>(),
            cmsg_level: libc::SOL_SOCKET,
            cmsg_type: libc::SCM_RIGHTS,
        },
        descriptor: descriptor.as_raw_fd(),
        padding: 0,
    };
    let mut piece = libc::iovec {
        // The kernel only reads it.
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: zeros are a valid value of every field.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut piece, 1);
    (message.msg_control, message.msg_controllen) = ((&raw mut control).cast(), size_of::<Control>());
    // SAFETY: the message points to one piece and one control message, which live until the call returns.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_sendmsg,
            socket.as_raw_fd(),
            &raw const message,
            0_u64,
            0_u64,
            0_u64,
            last,
        )
    };
    check(sent)
}
