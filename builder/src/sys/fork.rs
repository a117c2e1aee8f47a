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
    // One entry per thread; the entry `.` and `..` are not listed.
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    // SAFETY: the process has a single thread, so the copy is an ordinary process in which everything may be called.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            // A panic must not unwind into the caller's frames: they belong to the original.
            let status = catch_unwind(AssertUnwindSafe(child)).map_or(PANICKED, i32::from);
            // SAFETY: `_exit` never returns; the parent's exit handlers and buffers must not run twice.
            unsafe { libc::_exit(status) }
        }
        pid => Pid::from_raw(pid).ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH)),
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
