//! The monitor: croze's deputy that starts a step, kills it when croze is gone, and says how it ended.
//!
//! It stays in croze's namespaces, so that it can signal the step and croze can signal it.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use nix::sys::prctl::set_dumpable;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::fd::OwnedFd;
use rustix::process::{Signal, geteuid, setsid};
use rustix::thread::set_name;
use snapshotter::SpecialOwners;

use super::occupation::{self, Occupied, wait_for_turn};
use super::sources::Sources;
use super::supervise::Supervision;
use super::watch::watch;
use super::{leftovers, perform};
use crate::executor::exit::{Ended, Exit};
use crate::executor::plan::{Occupation, Plan, Processes};
use crate::executor::setup_error::SetupError;
use crate::executor::wire::{self, Outcome};
use crate::swap::Turn;
use crate::sys;

/// A system call of the monitor that failed.
pub(super) struct Failure {
    verb: &'static str,
    source: io::Error,
}

/// Adds to a failed system call what was attempted.
pub(super) trait To<T> {
    /// Turns the error into a [`Failure`].
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
    match begin(&mut control, stdout, stderr) {
        Ok((plan, null)) => match (plan.processes, plan.occupation.clone()) {
            (Processes::PidNamespace, _) => finish(run_step(&mut control, plan, &null, None, None), control),
            (Processes::Adopted, None) => guarded(control, plan, &null, None),
            (Processes::Adopted, Some(occupation)) => in_turn(control, plan, &occupation, &null),
        },
        Err(failure) => finish(Err(failure), control),
    }
}

/// Runs the step when its root is its to take.
fn in_turn(control: UnixStream, plan: Plan, occupation: &Occupation, null: &OwnedFd) -> u8 {
    // It may hold secrets, and the step's root may be this process's root. Who is not root could then not use its own
    // `/proc`; there the step is closed off from this process by other means.
    if geteuid().is_root()
        && let Err(error) = set_dumpable(false).to("close the monitor to the step")
    {
        return finish(Err(error), control);
    }
    let stash = match occupation::stash(&occupation.site) {
        Ok(stash) => stash,
        Err(error) => return finish(Ok(Outcome::NotStarted(error)), control),
    };
    let turn = wait_for_turn(&stash, &control);
    let locked = turn.and_then(|turn| Ok(turn.zip(Sources::lock(occupation, &control)?)));
    match locked {
        Ok(Some((turn, _sources))) => {
            let status = guarded(control, plan, null, Some(&turn));
            // What the monitor has not put back because somebody has killed it; croze hears of neither.
            let restored = turn.restore().map_err(SetupError::from);
            let closed = restored.and_then(|()| occupation::close(&occupation.site, &stash));
            closed.map_or(1, |()| status)
        }
        Ok(None) => {
            let exit = Exit::Signal(Signal::TERM.as_raw());
            let ended = Ended {
                exit,
                special_owners: SpecialOwners::default(),
                only_moved: Vec::new(),
                without_place: None,
            };
            finish(Ok(Outcome::Ended(ended)), control)
        }
        Err(error) => finish(Ok(Outcome::NotStarted(error)), control),
    }
}

/// Runs the step in a copy of this process, which guards the copy.
fn guarded(control: UnixStream, plan: Plan, null: &OwnedFd, turn: Option<&Turn<'_>>) -> u8 {
    let shared = Cell::new(Some(control));
    let close = || {
        drop(shared.take());
        let _seen_through = (dup2_stdout(null), dup2_stderr(null));
    };
    let work = |guard: io::Result<PipeReader>| {
        let Some(mut control) = shared.take() else { return 1 };
        let guard = guard.to("adopt what the step leaves behind");
        let outcome = guard.and_then(|guard| run_step(&mut control, plan, null, Some(guard), turn));
        finish(outcome, control)
    };
    let guarded = leftovers::guarded(close, work).to("guard the step");
    guarded.unwrap_or_else(|failure| match shared.take() {
        Some(control) => finish(Err(failure), control),
        // The copy has said what there was to say, or croze sees the socket break.
        None => 1,
    })
}

/// Tells croze what became of the step.
fn finish(outcome: Result<Outcome, Failure>, mut control: UnixStream) -> u8 {
    let outcome = outcome.unwrap_or_else(|failure| Outcome::MonitorFailed {
        verb: failure.verb.into(),
        errno: failure.source.raw_os_error().unwrap_or_default(),
    });
    // If croze is gone there is nobody to tell. It need not wait for this process to be taken apart.
    let told = wire::send(&outcome, &mut control).and_then(|()| control.shutdown(Shutdown::Write));
    u8::from(told.is_err())
}

/// Makes this process a monitor, and waits for the plan. Returns it and `/dev/null`.
fn begin(control: &mut UnixStream, stdout: OwnedFd, stderr: OwnedFd) -> Result<(Plan, OwnedFd), Failure> {
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
    Ok((wire::receive(control).to("receive the plan")?, null))
}

/// Runs the step to its end. With a guard, the step has no pid namespace; with a turn, its root is this process's own.
fn run_step(
    control: &mut UnixStream,
    plan: Plan,
    null: &OwnedFd,
    guard: Option<PipeReader>,
    turn: Option<&Turn<'_>>,
) -> Result<Outcome, Failure> {
    let occupied = turn
        .zip(plan.occupation)
        .map(|(turn, tree)| Occupied::begin(turn, tree));
    let occupied = match occupied.transpose() {
        Ok(occupied) => occupied,
        Err(error) => return Ok(Outcome::NotStarted(error)),
    };
    let (report, report_writer) = io::pipe().to("make a pipe")?;
    let top = occupied.as_ref().and_then(Occupied::top);
    let supervision = Supervision::prepare(plan.supervised, top).to("make a socket")?;
    let (mut supervision, to_supervisor) = supervision.unzip();
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
    let changed = supervision.as_ref().map(Supervision::changed_top).unwrap_or_default();
    let only_moved = match occupied.map_or(Ok(Vec::new()), |occupied| occupied.end(&changed)) {
        Ok(only_moved) => only_moved,
        Err(error) => return Ok(Outcome::NotUndone(error)),
    };
    let exit = exit?;
    let without_place = supervision.as_ref().and_then(Supervision::without_place);
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
        Err(_) => Outcome::Ended(Ended {
            exit,
            special_owners,
            only_moved,
            without_place,
        }),
    })
}
