//! A monitor as croze sees it: a child process that waits for a plan, and what connects it with croze.

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Stdio;

use rustix::fd::{AsRawFd, OwnedFd};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

use super::init::MONITOR_NAME;
use super::run_error::{RunError, system};

/// A running monitor. It ends by itself when `control` is closed.
#[derive(Debug)]
pub(super) struct Monitor {
    /// Its process.
    pub(super) child: Child,
    /// Takes the plan and orders, gives the outcome.
    pub(super) control: UnixStream,
    /// What the step will print on standard output.
    pub(super) stdout: pipe::Receiver,
    /// What the step will print on standard error.
    pub(super) stderr: pipe::Receiver,
}

impl Monitor {
    /// Starts one from the program.
    pub(super) fn start(program: &OwnedFd) -> Result<Self, RunError> {
        let (control, theirs) = StdUnixStream::pair().map_err(system("make a socket"))?;
        control.set_nonblocking(true).map_err(system("set up a socket"))?;
        let (stdout, stdout_writer) = output_pipe()?;
        let (stderr, stderr_writer) = output_pipe()?;
        let child = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()))
            .arg0(MONITOR_NAME)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(stdout_writer))
            .stderr(Stdio::from(stderr_writer))
            .spawn()
            .map_err(system("start the step's monitor"))?;
        Ok(Self {
            child,
            control: UnixStream::from_std(control).map_err(system("set up a socket"))?,
            stdout,
            stderr,
        })
    }

    /// Returns whether it has not ended.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

fn output_pipe() -> Result<(pipe::Receiver, OwnedFd), RunError> {
    let (reader, writer) = io::pipe().map_err(system("make a pipe"))?;
    let reader = pipe::Receiver::from_owned_fd(reader.into()).map_err(system("set up a pipe"))?;
    Ok((reader, writer.into()))
}
