//! What one process may ask about another, or do to it.

use std::io;

use rustix::fd::{FromRawFd, OwnedFd, RawFd};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::check;

/// Returns a resource limit of a process, the one in force and the one it may be raised to.
pub fn limit_of(process: Pid, resource: u32) -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes one `rlimit64` and reads none.
    let result = unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            process.as_raw_pid(),
            resource,
            std::ptr::null::<libc::rlimit64>(),
            &raw mut limit,
        )
    };
    check(result)?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Sets a resource limit of a process.
pub fn set_limit_of(process: Pid, resource: u32, (current, maximum): (u64, u64)) -> io::Result<()> {
    let limit = libc::rlimit64 {
        rlim_cur: current,
        rlim_max: maximum,
    };
    // SAFETY: the kernel reads one `rlimit64` and writes none.
    let result = unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            process.as_raw_pid(),
            resource,
            &raw const limit,
            std::ptr::null_mut::<libc::rlimit64>(),
        )
    };
    check(result)
}

/// Returns a copy of a descriptor that another process has open. Needs Linux 5.6 and leave to trace the process.
pub fn duplicate_descriptor(process: Pid, descriptor: RawFd) -> io::Result<OwnedFd> {
    let process = pidfd_open(process, PidfdFlags::empty())?;
    let process = std::os::fd::AsRawFd::as_raw_fd(&process);
    // SAFETY: the call takes no pointers.
    let copy = unsafe { libc::syscall(libc::SYS_pidfd_getfd, process, descriptor, 0) };
    check(copy)?;
    let copy = RawFd::try_from(copy).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: the kernel has just made this descriptor for this process, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_a_process_is_what_was_set() {
        let own = rustix::process::getpid();
        let (_, maximum) = limit_of(own, libc::RLIMIT_LOCKS).unwrap();
        set_limit_of(own, libc::RLIMIT_LOCKS, (7, maximum)).unwrap();
        assert_eq!(limit_of(own, libc::RLIMIT_LOCKS).unwrap(), (7, maximum));
    }

    #[test]
    fn a_copied_descriptor_is_the_same_file() {
        let (reader, writer) = io::pipe().unwrap();
        let own = rustix::process::getpid();
        let copy = duplicate_descriptor(own, std::os::fd::AsRawFd::as_raw_fd(&writer)).unwrap();
        rustix::io::write(&copy, b"x").unwrap();
        let mut byte = [0];
        assert_eq!(rustix::io::read(&reader, &mut byte).unwrap(), 1);
    }
}
