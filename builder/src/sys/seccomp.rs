//! Installing a seccomp filter.

use std::io;

use rustix::fd::{FromRawFd, OwnedFd, RawFd};
use seccompiler::sock_filter;

use super::check;

/// Installs a filter on this thread, for it and all its descendants.
///
/// Unlike `seccompiler::apply_filter` it does not set *no new privileges*, which would break `sudo` and `su` in a step;
/// the caller needs `CAP_SYS_ADMIN` in its user namespace instead.
pub fn install_filter(program: &[sock_filter]) -> io::Result<()> {
    install(program, 0).map(|_| ())
}

/// Installs a filter that asks a listener, and returns the listener. The caller needs `CAP_SYS_ADMIN` in its user
/// namespace or *no new privileges*.
///
/// From Linux 5.19 on, a call that the listener has received is interrupted by nothing but a fatal signal. Before,
/// any signal makes the kernel start the call anew, and what the listener did for it is done twice.
pub fn install_listener(program: &[sock_filter]) -> io::Result<OwnedFd> {
    let listener = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let fd = match install(program, listener | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => install(program, listener),
        result => result,
    }?;
    let fd = RawFd::try_from(fd).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: the kernel has just made this descriptor for this process, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn install(program: &[sock_filter], flags: libc::c_ulong) -> io::Result<libc::c_long> {
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = libc::sock_fprog {
        len: length,
        // The kernel only reads it; `sock_filter` has the same layout in both crates, that of <linux/filter.h>.
        filter: program.as_ptr().cast_mut().cast(),
    };
    // SAFETY: `program` points to `len` instructions that live until the call returns; the kernel copies them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    check(result)?;
    Ok(result)
}
