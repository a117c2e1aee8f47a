//! The re-executed croze: the starter, the monitor of a step, and the step's own process until it becomes the program.
//!
//! Everything here runs single-threaded and needs nothing of the environment. Nothing here prints: what goes wrong is
//! a [`SetupError`](super::SetupError) that travels back to croze.

mod api;
mod close_off;
mod devices;
mod exec;
mod identity;
mod leftovers;
mod locate;
mod loopback;
mod masks;
mod monitor;
mod mounts;
mod occupation;
mod perform;
mod placements;
mod root;
mod session;
mod shadows;
mod sources;
mod starter;
mod stubs;
mod supervise;
mod watch;

use std::process::ExitCode;

/// `argv[0]` of a re-executed croze. Not `croze`, so that `pkill -9 croze` leaves the monitors the time to clean up.
pub(super) const STARTER_NAME: &str = "step-starter";

/// Runs the starter of steps if that is what this process was started as, and returns its exit code.
///
/// Must be called before anything else in `main`, of every program that uses an [`Executor`](super::Executor).
pub fn init_main_if_asked() -> Option<ExitCode> {
    let asked = std::env::args_os().next().is_some_and(|name| name == STARTER_NAME);
    asked.then(starter::main)
}
