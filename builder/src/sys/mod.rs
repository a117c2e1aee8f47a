//! The only `unsafe` code of the workspace: system calls that have no safe wrapper elsewhere.
//!
//! Every function here is safe to call and does one thing.

#![allow(
    unsafe_code,
    reason = "what has no safe wrapper elsewhere gets one here; each file says what"
)]

pub mod bpf;
mod fork;
mod mapping;
mod memory;
mod message;
mod mount;
mod mount_point;
mod names;
mod notification;
mod process;
mod random;
mod registers;
mod seccomp;
mod signals;
mod stat;
mod trace;

pub use fork::{fork, fork_into_pid_namespace};
pub use mapping::mapped_writes_change_times;
pub use memory::{open_memory, read_memory, write_memory};
pub use message::send_descriptor;
pub use mount::{make_read_only, restrict};
pub use mount_point::mount_point;
pub use names::fix_host_lookup;
pub use notification::{
    Notification, Response, add_descriptor, is_pending, lend_descriptor, receive, replace_descriptor, respond,
    wake_synchronously,
};
pub use process::{duplicate_descriptor, limit_of, set_limit_of};
pub use random::random;
pub use registers::CALL_INSTRUCTION;
pub use seccomp::{install_filter, install_listener};
pub use signals::{exit_on, interrupt, let_threads_be_interrupted, reset_signals};
pub use stat::{KernelStat, KernelStatFs, KernelStatx};
pub use trace::{Lost, Stopped, Stopping, stop_after_call};

use std::io;

use rustix::fd::RawFd;

/// Marks every file descriptor from `first` on as closed by the next `execve`.
pub fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    // SAFETY: the call takes no pointers, and marking a descriptor does not end its life: whoever owns it keeps it.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    check(result)
}

/// Turns the result of a raw system call into a [`Result`].
fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
