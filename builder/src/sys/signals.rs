//! Signal dispositions, which survive `execve` where they are *ignore*.

use std::io;
use std::os::unix::thread::JoinHandleExt as _;
use std::thread::JoinHandle;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// The last signal's number.
const LAST: libc::c_int = 64;

/// The kernel's `struct sigaction`, four words or less, all zero: the default action.
const DEFAULT_ACTION: [u64; 4] = [0; 4];

/// Size of the kernel's set of signals, in bytes.
const SIGNAL_SET_SIZE: usize = 8;

/// Gives every signal its default action and unblocks all of them.
///
/// Rust ignores SIGPIPE, and whoever started croze may ignore others; a step must inherit neither.
pub fn reset_signals() -> io::Result<()> {
    for signal in 1..=LAST {
        // Not through the C library, which keeps the signals 32 and 33 to itself and has them ignored in what it spawns.
        // SAFETY: the kernel reads an action and writes none; the default action runs no code of this process.
        // SIGKILL and SIGSTOP refuse, and that is fine: they cannot be ignored.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                DEFAULT_ACTION.as_ptr(),
                std::ptr::null::<libc::c_void>(),
                SIGNAL_SET_SIZE,
            )
        };
    }
    SigSet::empty().thread_set_mask().map_err(io::Error::from)
}

/// Makes a signal end the process, whatever was to happen on it before: with exit code 130 if it is SIGINT, else 143.
///
/// Not by the default action: that leaves a process alone which is the first of a container.
pub fn exit_on(signal: Signal) -> io::Result<()> {
    extern "C" fn exit(signal: libc::c_int) {
        let code = if signal == libc::SIGINT { 130 } else { 143 };
        // SAFETY: `_exit` may be called in a handler, and runs no code of this process.
        unsafe { libc::_exit(code) }
    }
    let action = SigAction::new(SigHandler::Handler(exit), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler calls nothing but `_exit`.
    unsafe { sigaction(signal, &action) }?;
    Ok(())
}

/// Makes [`interrupt`] do nothing but interrupt: without this it would end the process.
pub fn let_threads_be_interrupted() -> io::Result<()> {
    extern "C" fn nothing(_signal: libc::c_int) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing, which it may do at any time.
    unsafe { sigaction(Signal::SIGUSR1, &action) }?;
    Ok(())
}

/// Makes the system call that a thread is waiting in fail with `EINTR`.
pub fn interrupt<T>(thread: &JoinHandle<T>) {
    // SAFETY: a thread with a handle has been neither joined nor detached, so it has an id, even when it has ended.
    // The only other error is a signal that does not exist.
    unsafe { libc::pthread_kill(thread.as_pthread_t(), libc::SIGUSR1) };
}
