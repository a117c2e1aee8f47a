//! Waiting for the end of a step, and bringing it about when croze asks for it or is gone.

use std::fs;
use std::io::{PipeReader, Read};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, waitpid};

use super::monitor::{Failure, To};
use crate::executor::exit::{Exit, GRACE};
use crate::executor::wire::{KILL, TERMINATE};

/// Waits for the end of the step. `guard` is a pipe that breaks with the monitor's guard, without which the step must not
/// go on.
pub(super) fn watch(control: &mut UnixStream, step: Pid, guard: Option<&PipeReader>) -> Result<Exit, Failure> {
    let ended = pidfd_open(step, PidfdFlags::empty()).to("open the step's pidfd")?;
    let mut is_wanted = true;
    let mut deadline = None;
    loop {
        let mut sources = vec![PollFd::new(&ended, PollFlags::IN)];
        // Once nobody wants it the step has been killed, and its end is all there is to wait for.
        if is_wanted {
            sources.push(PollFd::new(control, PollFlags::IN));
            sources.extend(guard.map(|guard| PollFd::new(guard, PollFlags::IN)));
        }
        let left = deadline.map(|deadline: Instant| deadline.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let ready = match poll(&mut sources, left.as_ref()) {
            Err(Errno::INTR) => continue,
            ready => ready.to("wait for events")?,
        };
        let has_event = |source: usize| sources.get(source).is_some_and(|source| !source.revents().is_empty());
        if has_event(0) {
            return reap(step);
        }
        if ready == 0 {
            deadline = None;
            kill(step)?;
            continue;
        }
        if has_event(2) {
            kill(step)?;
            return Err(Errno::PIPE).to("go on without its guard");
        }
        match next_request(control) {
            Some(TERMINATE) if catches_sigterm(step) => {
                kill_process(step, Signal::TERM).to("terminate the step")?;
                deadline = Some(Instant::now() + GRACE);
            }
            // Pid 1 of a namespace does not even receive a signal it has no handler for: waiting would be in vain.
            Some(TERMINATE | KILL) => kill(step)?,
            _ => {
                is_wanted = false;
                kill(step)?;
            }
        }
    }
}

fn next_request(control: &mut UnixStream) -> Option<u8> {
    let mut request = [0];
    control.read_exact(&mut request).ok().map(|()| request[0])
}

fn kill(step: Pid) -> Result<(), Failure> {
    match kill_process(step, Signal::KILL) {
        // It has just ended by itself.
        Err(Errno::SRCH) => Ok(()),
        result => result.to("kill the step"),
    }
}

/// Whether a process has a handler for SIGTERM.
fn catches_sigterm(process: Pid) -> bool {
    let caught = |line: &str| u64::from_str_radix(line.strip_prefix("SigCgt:")?.trim(), 16).ok();
    let status = fs::read_to_string(format!("/proc/{}/status", process.as_raw_pid())).unwrap_or_default();
    let mask = status.lines().find_map(caught).unwrap_or_default();
    mask & (1 << (Signal::TERM.as_raw() - 1)) != 0
}

/// Collects the status of the step. The kernel has by then ended everything else in its pid namespace.
fn reap(step: Pid) -> Result<Exit, Failure> {
    loop {
        let status = match waitpid(Some(step), WaitOptions::empty()) {
            Err(Errno::INTR) | Ok(None) => continue,
            Ok(Some((_, status))) => status,
            Err(error) => return Err(error).to("wait for the step"),
        };
        if let Some(code) = status.exit_status() {
            return Ok(Exit::Code(code));
        }
        if let Some(signal) = status.terminating_signal() {
            return Ok(Exit::Signal(signal));
        }
    }
}
