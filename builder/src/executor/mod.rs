//! Runs one process in one root file system.
//!
//! A [`Process`] is compiled to a list of [`SetupStep`]s, a pure function with golden tests; a re-executed,
//! single-threaded croze performs them and becomes the step. Four processes take part:
//!
//! ```text
//! croze ── requests ───────── starter     forks a monitor for each step
//!       ── control socket ─── monitor ─── pid 1 of the step's pid namespace
//! ```
//!
//! The monitor kills the step as soon as the control socket ends, however croze died; the step asks the kernel to be
//! killed when the monitor dies; the pid namespace takes everything the step has started along.

mod exit;
mod limits;
mod process;
mod plan;
mod setup_error;
mod wire;
mod seccomp;
mod init;
mod own_program;
mod run_error;
mod starter;
mod run;

pub use exit::{Ended, Exit, GRACE, Stop};
pub use init::init_main_if_asked;
pub use limits::{LimitError, ResourceLimit};
pub use plan::{
    DEFAULT_PATH, MountIndex, Occupation, Plan, Processes, SetupStep, Site, Source, StepRoot, Supervised, plan,
};
pub use process::{
    Content, Credentials, DEFAULT_SHM_SIZE, Mount, MountSource, Network, Privileges, Process, Restriction, Tree,
};
pub use run::Executor;
pub use run_error::RunError;
pub use setup_error::{SetupError, SystemError};
