//! The monitor: croze's deputy that starts a step, kills it when croze is gone, and says how it ended.
//!
//! It stays in croze's namespaces, so that it can signal the step and croze can signal it.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, PipeReader, Read};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Instant;

use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, setsid, waitpid};
use rustix::thread::set_name;

use super::supervise::Supervision;
use super::{leftovers, perform};
use crate::executor::exit::{Ended, Exit, GRACE};
use crate::executor::plan::{Plan, Processes};
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

/// The monitor's whole life. Its standard input is the control socket.
pub(super) fn main() -> ExitCode {
    let Ok(control) = io::stdin().as_fd().try_clone_to_owned() else {
        return ExitCode::FAILURE;
    };
    let mut control = UnixStream::from(control);
    match begin(&mut control) {
        Ok((plan, null)) => match plan.processes {
            Processes::PidNamespace => finish(run_step(&mut control, plan, &null, None), control),
            Processes::Adopted => guarded(control, plan, &null),
        },
        Err(failure) => finish(Err(failure), control),
    }
}

/// Runs the step in a copy of this process, which guards the copy.
fn guarded(control: UnixStream, plan: Plan, null: &OwnedFd) -> ExitCode {
    let shared = Cell::new(Some(control));
    let close = || {
        drop(shared.take());
        let _seen_through = (dup2_stdout(null), dup2_stderr(null));
    };
    let work = |guard| match shared.take() {
        Some(mut control) => finish(run_step(&mut control, plan, null, Some(guard)), control),
        None => ExitCode::FAILURE,
    };
    leftovers::guarded(close, work).unwrap_or(ExitCode::FAILURE)
}

/// Tells croze what became of the step.
fn finish(outcome: Result<Outcome, Failure>, mut control: UnixStream) -> ExitCode {
    let outcome = outcome.unwrap_or_else(|failure| Outcome::MonitorFailed {
        verb: failure.verb.into(),
        errno: failure.source.raw_os_error().unwrap_or_default(),
    });
    // If croze is gone there is nobody to tell. It need not wait for this process to be taken apart.
    match wire::send(&outcome, &mut control).and_then(|()| control.shutdown(Shutdown::Write)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Makes this process a monitor, and waits for the plan. Returns it and `/dev/null`.
fn begin(control: &mut UnixStream) -> Result<(Plan, OwnedFd), Failure> {
    let null = OwnedFd::from(
        File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .to("open `/dev/null`")?,
    );
    dup2_stdin(&null).to("replace standard input")?;
    sys::close_on_exec_from(3).to("mark descriptors")?;
    // The kernel has named it after the descriptor it was started from.
    set_name(c"step-monitor").to("set the name of the monitor")?;
    // An own session: a ^C at croze's terminal is croze's to handle.
    setsid().to("start a session")?;
    Ok((wire::receive(control).to("receive the plan")?, null))
}

/// Runs the step to its end. With a guard, the step has no pid namespace.
fn run_step(
    control: &mut UnixStream,
    plan: Plan,
    null: &OwnedFd,
    guard: Option<PipeReader>,
) -> Result<Outcome, Failure> {
    let (report, report_writer) = io::pipe().to("make a pipe")?;
    let (mut supervision, to_supervisor) = Supervision::prepare(plan.supervised).to("make a socket")?.unzip();
    let ours = Cell::new(Some(report));
    let life = || {
        // The step must see this pipe break when the monitor dies.
        drop(ours.take());
        perform::become_program(plan.steps, &report_writer, to_supervisor)
    };
    let child = match plan.processes {
        Processes::PidNamespace => sys::fork_into_pid_namespace(life).to("fork into a pid namespace")?,
        Processes::Adopted => sys::fork(life).to("fork")?,
    };
    drop(report_writer);
    // Only the step holds croze's pipes now, so croze sees their end with the step's.
    dup2_stdout(null).to("replace standard output")?;
    dup2_stderr(null).to("replace standard error")?;

    let exit = watch(control, child, guard.as_ref(), supervision.as_mut());
    if plan.processes == Processes::Adopted {
        leftovers::end_all().to("end what the step has left behind")?;
    }
    let exit = exit?;
    let special_owners = supervision.map(Supervision::finish).transpose();
    let special_owners = special_owners
        .to("find out who owns the step's links")?
        .unwrap_or_default();
    // The pipe was closed without a word if the program was reached. What is said fits into it, so that the step never
    // waits for a reader.
    let mut text = Vec::new();
    if let Some(mut report) = ours.into_inner() {
        report.read_to_end(&mut text).to("read the report")?;
    }
    Ok(match serde_json::from_slice::<SetupError>(&text) {
        Ok(error) => Outcome::NotStarted(error),
        Err(_) => Outcome::Ended(Ended { exit, special_owners }),
    })
}

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

/// Waits for the end of the step, and brings it about when croze asks for it or is gone.
fn watch(
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
            Some(Event::End) => return reap(step),
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
