//! The starter as croze sees it: a child process that forks a monitor for every step.
//!
//! It is croze re-executed, once for a whole build: loading the program again costs more than many a step, copying a
//! small process with a single thread costs next to nothing.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sendmsg, socketpair,
};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use super::init::STARTER_NAME;
use super::run_error::{RunError, system};

/// What a request consists of besides its descriptors: a message of this kind of socket cannot be empty.
const REQUEST: &[u8] = b"m";

/// A running starter. It ends by itself when croze does.
#[derive(Debug)]
pub(super) struct Starter {
    process: Child,
    requests: OwnedFd,
}

impl Starter {
    /// Starts it from the program.
    pub(super) fn start(program: &OwnedFd) -> Result<Self, RunError> {
        let (requests, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|error| system("make a socket")(error.into()))?;
        let process = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()))
            .arg0(STARTER_NAME)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(system("start the step starter"))?;
        Ok(Self { process, requests })
    }

    /// Returns a new monitor, or `None` if the starter is gone.
    pub(super) fn monitor(&self) -> Result<Option<Monitor>, RunError> {
        let (control, their_control) = StdUnixStream::pair().map_err(system("make a socket"))?;
        control.set_nonblocking(true).map_err(system("set up a socket"))?;
        let (stdout, their_stdout) = output_pipe()?;
        let (stderr, their_stderr) = output_pipe()?;
        let descriptors = [their_control.as_fd(), their_stdout.as_fd(), their_stderr.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        let request = [IoSlice::new(REQUEST)];
        match sendmsg(&self.requests, &request, &mut ancillary, SendFlags::NOSIGNAL) {
            Ok(_) => {}
            Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => return Ok(None),
            Err(error) => return Err(system("ask for a monitor")(error.into())),
        }
        Ok(Some(Monitor {
            control: UnixStream::from_std(control).map_err(system("set up a socket"))?,
            stdout,
            stderr,
        }))
    }
}

impl Drop for Starter {
    fn drop(&mut self) {
        // A starter has nothing to finish, and a monitor that runs is told by its own socket.
        let _it_has_ended = self.process.kill();
        let _collected = self.process.wait();
    }
}

/// A running monitor. It ends by itself when `control` is closed.
#[derive(Debug)]
pub(super) struct Monitor {
    /// Takes the plan and orders, gives the outcome.
    pub(super) control: UnixStream,
    /// What the step will print on standard output.
    pub(super) stdout: pipe::Receiver,
    /// What the step will print on standard error.
    pub(super) stderr: pipe::Receiver,
}

fn output_pipe() -> Result<(pipe::Receiver, OwnedFd), RunError> {
    let (reader, writer) = io::pipe().map_err(system("make a pipe"))?;
    let reader = pipe::Receiver::from_owned_fd(reader.into()).map_err(system("set up a pipe"))?;
    Ok((reader, writer.into()))
}
