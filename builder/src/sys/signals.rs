//! Signal dispositions, which survive `execve` where they are *ignore*.

use std::io;

/// Gives every signal its default action and unblocks all of them.
///
/// Rust ignores SIGPIPE, and whoever started croze may ignore others; a step must inherit neither.
pub fn reset_signals() -> io::Result<()> {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: the default action runs no code of this process. SIGKILL, SIGSTOP and the two signals that the C
        // library keeps to itself refuse, and that is fine: they cannot be ignored.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    nix::sys::signal::SigSet::empty()
        .thread_set_mask()
        .map_err(io::Error::from)
}
