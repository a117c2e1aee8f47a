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
    let flags = libc::CLONE_NEWPID | libc::SIGCHLD;
    // SAFETY: as above. Without a stack of its own the copy goes on with this one's, as after `fork`; what the C library
    // does beside that is about other threads, and about the copy's own number, which it asks the kernel for.
    live(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) }, child)
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
