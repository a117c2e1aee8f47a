//! System calls that the kernel asks a supervisor about: seccomp's user notifications.

use std::io;

use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::process::Pid;

use super::check;

/// Flag of a listener, since Linux 6.6: whoever asks and whoever answers share a CPU, so that neither has to be woken on
/// another one.
const SYNC_WAKE_UP: u64 = 1;

/// A system call that waits for an answer.
#[derive(Clone, Copy, Debug)]
pub struct Notification {
    /// Stands for the call in all that follows.
    pub id: u64,
    /// The thread that makes the call, as its id is in the pid namespace of whoever receives this.
    pub thread: Pid,
    /// `AUDIT_ARCH_*`: whose numbers and layouts the call has.
    pub architecture: u32,
    /// The call's number.
    pub number: i32,
    /// Its arguments.
    pub arguments: [u64; 6],
    /// The address behind the instruction that made it.
    pub next: u64,
}

/// What a waiting call is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Response {
    /// It returns this.
    Return(i64),
    /// It fails with this error number.
    Fail(i32),
    /// The kernel performs it.
    Continue,
}

/// Waits for the next call. `ENOENT`: the one that was about to be received has died, or nobody is left who could make
/// any.
pub fn receive(listener: BorrowedFd<'_>) -> io::Result<Notification> {
    // The kernel insists on zeros.
    let mut raw = libc::seccomp_notif {
        id: 0,
        pid: 0,
        flags: 0,
        data: libc::seccomp_data {
            nr: 0,
            arch: 0,
            instruction_pointer: 0,
            args: [0; 6],
        },
    };
    // SAFETY: the kernel writes one `seccomp_notif`, whose size is part of the request's number.
    check(unsafe { ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut raw) })?;
    let thread = Pid::from_raw(i32::try_from(raw.pid).unwrap_or_default());
    Ok(Notification {
        id: raw.id,
        // The kernel says 0 of a thread that is not in this pid namespace.
        thread: thread.ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))?,
        architecture: raw.data.arch,
        number: raw.data.nr,
        arguments: raw.data.args,
        next: raw.data.instruction_pointer,
    })
}

/// Answers a call. `ENOENT`: whoever made it has died.
pub fn respond(listener: BorrowedFd<'_>, id: u64, response: Response) -> io::Result<()> {
    let (val, error, flags) = match response {
        Response::Return(value) => (value, 0, 0),
        Response::Fail(errno) => (0, -errno, 0),
        Response::Continue => (0, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
    };
    let mut raw = libc::seccomp_notif_resp { id, val, error, flags };
    // SAFETY: the kernel reads one `seccomp_notif_resp`, whose size is part of the request's number.
    check(unsafe { ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut raw) })
}

/// Returns whether a call still waits: whether its thread's id still means that thread.
pub fn is_pending(listener: BorrowedFd<'_>, mut id: u64) -> bool {
    // SAFETY: the kernel reads one 64-bit number.
    check(unsafe { ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw mut id) }).is_ok()
}

/// Gives a copy of a descriptor to whoever made a call, and answers the call with its number.
pub fn add_descriptor(
    listener: BorrowedFd<'_>,
    id: u64,
    descriptor: BorrowedFd<'_>,
    close_on_exec: bool,
) -> io::Result<()> {
    add(
        listener,
        id,
        descriptor,
        (libc::SECCOMP_ADDFD_FLAG_SEND as u32, 0),
        close_on_exec,
    )
    .map(drop)
}

/// Gives a copy of a descriptor to whoever made a call, until it starts a program, and returns the copy's number. The
/// call still waits.
pub fn lend_descriptor(listener: BorrowedFd<'_>, id: u64, descriptor: BorrowedFd<'_>) -> io::Result<u64> {
    let number = add(listener, id, descriptor, (0, 0), true)?;
    u64::try_from(number).map_err(io::Error::other)
}

/// Puts a copy of a descriptor in the place of one that whoever made a call has. The call still waits.
pub fn replace_descriptor(
    listener: BorrowedFd<'_>,
    id: u64,
    descriptor: BorrowedFd<'_>,
    replaced: i32,
    close_on_exec: bool,
) -> io::Result<()> {
    let flag = libc::SECCOMP_ADDFD_FLAG_SETFD as u32;
    add(
        listener,
        id,
        descriptor,
        (flag, replaced.cast_unsigned()),
        close_on_exec,
    )
    .map(drop)
}

fn add(
    listener: BorrowedFd<'_>,
    id: u64,
    descriptor: BorrowedFd<'_>,
    (flags, newfd): (u32, u32),
    close_on_exec: bool,
) -> io::Result<libc::c_long> {
    let mut raw = libc::seccomp_notif_addfd {
        id,
        flags,
        srcfd: descriptor.as_raw_fd().cast_unsigned(),
        newfd,
        newfd_flags: if close_on_exec {
            libc::O_CLOEXEC.cast_unsigned()
        } else {
            0
        },
    };
    // SAFETY: the kernel reads one `seccomp_notif_addfd`, whose size is part of the request's number.
    let number = unsafe { ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw mut raw) };
    check(number)?;
    Ok(number)
}

/// Asks for fast wake-ups; older kernels have none.
pub fn wake_synchronously(listener: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the request takes its flags in place of a pointer.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS,
            SYNC_WAKE_UP as libc::c_ulong,
        )
    };
    check(result.into())
}

/// # Safety
/// `argument` must point to what the request reads or writes.
unsafe fn ioctl<T>(listener: BorrowedFd<'_>, request: libc::Ioctl, argument: *mut T) -> libc::c_long {
    // SAFETY: the caller answers for the pointer; the descriptor is open.
    unsafe { libc::ioctl(listener.as_raw_fd(), request, argument) }.into()
}
