//! A `fork` that is safe because it refuses to happen where it would not be.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{fs, io};

use rustix::process::Pid;

/// Exit status of a forked child that panicked, Rust's own.
const PANICKED: i32 = 101;

/// Runs `child` in a copy of this process, which ends with the returned status, and returns the copy's id.
///
/// Fails with `EBUSY` while the process has several threads: the copy would hold locks that nobody releases.
pub fn fork(child: impl FnOnce() -> u8) -> io::Result<Pid> {
    require_single_thread()?;
    // SAFETY: the process has a single thread, so the copy is an ordinary process in which everything may be called.
    live(unsafe { libc::fork() }.into(), child)
}

/// Does the same in a pid namespace of the copy's own, of which it is the first process.
///
/// After `unshare` and `fork`, which would come to the same, this process could not start threads any more.
pub fn fork_into_pid_namespace(child: impl FnOnce() -> u8) -> io::Result<Pid> {
    require_single_thread()?;
    let flags = libc::c_long::from(libc::CLONE_NEWPID | libc::SIGCHLD);
    let none: libc::c_long = 0;
    // SAFETY: the process has a single thread, so no lock is held by one that the copy has not; the copy has memory of its
    // own and, given no stack, goes on with its copy of this one's. The C library does not hear of it: handlers of
    // `pthread_atfork` do not run, and it takes the copy's thread for this one. Nobody here
    // registers any, `getpid` and `gettid` ask the kernel, and what relies on the thread's number is not used in the copy:
    // robust and error-checking mutexes, and `raise`. `abort` does not end by it, and goes on to ways that need no number.
    live(
        unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) },
        child,
    )
}

fn require_single_thread() -> io::Result<()> {
    // One entry per thread; the entry `.` and `..` are not listed.
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    Ok(())
}

/// Goes on in the original and in the copy.
fn live(forked: libc::c_long, child: impl FnOnce() -> u8) -> io::Result<Pid> {
    match forked {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            // A panic must not unwind into the caller's frames: they belong to the original.
            let status = catch_unwind(AssertUnwindSafe(child)).map_or(PANICKED, i32::from);
            // SAFETY: `_exit` never returns; the parent's exit handlers and buffers must not run twice.
            unsafe { libc::_exit(status) }
        }
        pid => {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            pid.ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_is_not_forked() {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || stopped.recv());
        let error = fork(|| 0).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBUSY));
        drop(stop);
        assert!(thread.join().unwrap().is_err());
    }
}
