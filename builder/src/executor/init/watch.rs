//! Waiting for the end of a step, and bringing it about when croze asks for it or is gone.

use std::fs;
use std::io::{PipeReader, Read};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, waitpid};

use super::monitor::{Failure, To};
use super::supervise::Supervision;
use crate::executor::exit::{Exit, GRACE};
use crate::executor::wire::{KILL, TERMINATE};

/// What a monitor waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Event {
    /// The step has ended.
    End,
    /// The supervisor has something to say.
    Supervision,
    /// croze has an order, or is gone.
    Order,
    /// The guard is gone.
    NoGuard,
}

/// Waits for the end of the step. `guard` is a pipe that breaks with the monitor's guard, without which the step must not
/// go on.
pub(super) fn watch(
    control: &mut UnixStream,
    step: Pid,
    guard: Option<&PipeReader>,
    mut supervision: Option<&mut Supervision>,
) -> Result<Exit, Failure> {
    let ended = pidfd_open(step, PidfdFlags::empty()).to("open the step's pidfd")?;
    let mut is_wanted = true;
    let mut deadline = None;
    loop {
        let mut sources = vec![(Event::End, PollFd::new(&ended, PollFlags::IN))];
        if let Some(source) = supervision.as_ref().and_then(|supervision| supervision.source()) {
            sources.push((Event::Supervision, PollFd::from_borrowed_fd(source, PollFlags::IN)));
        }
        // Once nobody wants it the step has been killed, and its end is all there is to wait for.
        if is_wanted {
            sources.push((Event::Order, PollFd::new(control, PollFlags::IN)));
            sources.extend(guard.map(|guard| (Event::NoGuard, PollFd::new(guard, PollFlags::IN))));
        }
        match next_event(sources, deadline)? {
            None => {
                deadline = None;
                kill(step)?;
            }
            Some(Event::End) => return reap(step, supervision.as_deref()),
            Some(Event::Supervision) => {
                let went_on = supervision
                    .as_mut()
                    .map_or(Ok(()), |supervision| supervision.go_on(step));
                if let Err(error) = went_on {
                    kill(step)?;
                    return Err(error).to("supervise the step");
                }
            }
            Some(Event::NoGuard) => {
                kill(step)?;
                return Err(Errno::PIPE).to("go on without its guard");
            }
            Some(Event::Order) => match next_request(control) {
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
            },
        }
    }
}

/// Waits for the first of these; `None` when the time is over.
fn next_event(sources: Vec<(Event, PollFd<'_>)>, deadline: Option<Instant>) -> Result<Option<Event>, Failure> {
    let (events, mut sources): (Vec<_>, Vec<_>) = sources.into_iter().unzip();
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut sources, left.as_ref()) {
            Err(Errno::INTR) => continue,
            ready => ready.to("wait for events")?,
        };
        let ready = sources.iter().position(|source| !source.revents().is_empty());
        return Ok(ready.map(|ready| events[ready]));
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
fn reap(step: Pid, supervision: Option<&Supervision>) -> Result<Exit, Failure> {
    loop {
        let status = match waitpid(Some(step), WaitOptions::empty()) {
            Err(Errno::INTR) | Ok(None) => continue,
            Ok(Some((_, status))) => status,
            Err(error) => {
                let told = supervision.and_then(Supervision::status_of_first);
                let exit =
                    told.and_then(|status| Some(status.code().map_or(Exit::Signal(status.signal()?), Exit::Code)));
                return exit.map_or(Err(error).to("wait for the step"), Ok);
            }
        };
        if let Some(code) = status.exit_status() {
            return Ok(Exit::Code(code));
        }
        if let Some(signal) = status.terminating_signal() {
            return Ok(Exit::Signal(signal));
        }
    }
}
