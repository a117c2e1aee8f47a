//! The monitor: croze's deputy that starts a step, kills it when croze is gone, and says how it ended.
//!
//! It stays in croze's namespaces, so that it can signal the step and croze can signal it.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use nix::sched::CloneFlags;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, setsid, waitpid};
use rustix::thread::set_name;

use super::perform;
use crate::executor::exit::{Exit, GRACE};
use crate::executor::plan::SetupStep;
use crate::executor::setup_error::SetupError;
use crate::executor::wire::{self, KILL, Outcome, TERMINATE};
use crate::sys;

/// A system call of the monitor that failed.
struct Failure {
    verb: &'static str,
    source: io::Error,
}

/// Adds to a failed system call what was attempted.
trait To<T> {
    fn to(self, verb: &'static str) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> To<T> for Result<T, E> {
    fn to(self, verb: &'static str) -> Result<T, Failure> {
        self.map_err(|error| Failure {
            verb,
            source: error.into(),
        })
    }
}

/// What connects a monitor with croze.
pub(super) struct Ends {
    /// Gives the plan and orders, takes the outcome.
    pub(super) control: UnixStream,
    /// Standard output of the step.
    pub(super) stdout: OwnedFd,
    /// Standard error of the step.
    pub(super) stderr: OwnedFd,
}

/// The monitor's whole life; returns its exit status.
pub(super) fn main(ends: Ends) -> u8 {
    let Ends {
        mut control,
        stdout,
        stderr,
    } = ends;
    let outcome = run_step(&mut control, stdout, stderr).unwrap_or_else(|failure| Outcome::MonitorFailed {
        verb: failure.verb.into(),
        errno: failure.source.raw_os_error().unwrap_or_default(),
    });
    // If croze is gone there is nobody to tell. It need not wait for this process to be taken apart.
    let told = wire::send(&outcome, &mut control).and_then(|()| control.shutdown(Shutdown::Write));
    u8::from(told.is_err())
}

fn run_step(control: &mut UnixStream, stdout: OwnedFd, stderr: OwnedFd) -> Result<Outcome, Failure> {
    let null = OwnedFd::from(
        File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .to("open `/dev/null`")?,
    );
    // Standard input is the starter's socket: croze must see it break when the starter dies.
    dup2_stdin(&null).to("replace standard input")?;
    dup2_stdout(stdout).to("replace standard output")?;
    dup2_stderr(stderr).to("replace standard error")?;
    sys::close_on_exec_from(3).to("mark descriptors")?;
    // The kernel has named the starter after the descriptor it was started from.
    set_name(c"step-monitor").to("set the name of the monitor")?;
    // An own session: a ^C at croze's terminal is croze's to handle.
    setsid().to("start a session")?;
    let steps: Vec<SetupStep> = wire::receive(control).to("receive the plan")?;

    let (report, report_writer) = io::pipe().to("make a pipe")?;
    nix::sched::unshare(CloneFlags::CLONE_NEWPID).to("make a pid namespace")?;
    let ours = Cell::new(Some(report));
    let child = sys::fork(|| {
        // The step must see this pipe break when the monitor dies.
        drop(ours.take());
        perform::become_program(steps, &report_writer)
    })
    .to("fork")?;
    drop(report_writer);
    // Only the step holds croze's pipes now, so croze sees their end with the step's.
    dup2_stdout(&null).to("replace standard output")?;
    dup2_stderr(&null).to("replace standard error")?;

    let exit = watch(control, child)?;
    // The pipe was closed without a word if the program was reached. What is said fits into it, so that the step never
    // waits for a reader.
    let mut text = Vec::new();
    if let Some(mut report) = ours.into_inner() {
        report.read_to_end(&mut text).to("read the report")?;
    }
    Ok(match serde_json::from_slice::<SetupError>(&text) {
        Ok(error) => Outcome::NotStarted(error),
        Err(_) => Outcome::Ended(exit),
    })
}

/// Waits for the end of the step, and brings it about when croze asks for it or is gone.
fn watch(control: &mut UnixStream, step: Pid) -> Result<Exit, Failure> {
    let ended = pidfd_open(step, PidfdFlags::empty()).to("open the step's pidfd")?;
    let mut croze_is_there = true;
    let mut deadline = None;
    loop {
        let sources = &mut [PollFd::new(&ended, PollFlags::IN), PollFd::new(control, PollFlags::IN)];
        // With croze gone the step has been killed, and its end is all there is to wait for.
        let sources = if croze_is_there {
            &mut sources[..]
        } else {
            &mut sources[..1]
        };
        let left = deadline.map(|deadline: Instant| deadline.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let ready = match poll(sources, left.as_ref()) {
            Err(Errno::INTR) => continue,
            ready => ready.to("wait for events")?,
        };
        if !sources[0].revents().is_empty() {
            return reap(step);
        }
        if ready == 0 {
            deadline = None;
            kill(step)?;
            continue;
        }
        match next_request(control) {
            Some(TERMINATE) if catches_sigterm(step) => {
                kill_process(step, Signal::TERM).to("terminate the step")?;
                deadline = Some(Instant::now() + GRACE);
            }
            // Pid 1 of a namespace does not even receive a signal it has no handler for: waiting would be in vain.
            Some(TERMINATE | KILL) => kill(step)?,
            _ => {
                croze_is_there = false;
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
