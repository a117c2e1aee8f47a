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

/// Sends bytes and a copy of a descriptor through a Unix socket. `last` is what a filter finds as the last argument, of
/// this call and of no later one.
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
    let sent = check(sent);
    // The kernel gives back the registers as they were, and a call of fewer arguments, made without the C library, leaves
    // the others as they are: they would all have what only this one is to have.
    // SAFETY: the call takes nothing and changes nothing.
    unsafe { libc::syscall(libc::SYS_getppid, 0_u64, 0_u64, 0_u64, 0_u64, 0_u64, 0_u64) };
    sent
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use std::os::unix::net::UnixStream;

    use rustix::fd::AsFd as _;

    use super::*;

    #[test]
    fn what_a_message_has_for_its_last_argument_no_later_call_has() {
        const LAST: u64 = 0x1234_5678_9abc_def0;
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let last_argument: u64;
        send_descriptor(ours.as_fd(), b"x", ours.as_fd(), LAST).unwrap();
        // SAFETY: it only copies a register.
        unsafe { std::arch::asm!("mov {}, r9", out(reg) last_argument, options(nomem, nostack)) };
        assert_ne!(last_argument, LAST);
    }
}
