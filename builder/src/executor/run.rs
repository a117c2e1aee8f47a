//! Starting a step and listening to it.

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustix::fd::{AsRawFd, OwnedFd};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::net::{UnixStream, unix};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::exit::{Exit, Stop};
use super::init::MONITOR_NAME;
use super::own_program;
use super::plan::plan;
use super::process::Process;
use super::setup_error::SetupError;
use super::wire::{self, KILL, Outcome, TERMINATE};
use crate::progress::Stream;

/// Size of the buffer for a stream of output, in bytes: what a pipe holds.
const BUFFER: usize = 64 << 10;

/// How long output is awaited after the end of a step. Its pipes have then been closed, unless a step has passed one to
/// a process outside.
const DRAIN: Duration = Duration::from_millis(200);

/// Why a step could not be run to its end. That its program fails is no error but an [`Exit`].
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// croze could not start the monitor or talk to it.
    #[error("cannot {verb}")]
    System {
        /// What was attempted.
        verb: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The step could not be set up, or its program not be run.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A system call failed in the monitor.
    #[error("the step's monitor cannot {verb}")]
    Monitor {
        /// What was attempted.
        verb: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The monitor ended without a word: it was killed.
    #[error("the step's monitor died")]
    MonitorDied,
}

/// Runs processes. One serves a whole build, any number of steps at once.
#[derive(Debug)]
pub struct Executor {
    program: OwnedFd,
    scratch: PathBuf,
}

impl Executor {
    /// Prepares to run processes. `scratch` is an existing, empty directory that nothing else uses; steps mount over
    /// it, each in its own mount namespace.
    pub fn new(scratch: &Path) -> Result<Self, RunError> {
        let program = own_program::read_only().map_err(system("make a read-only copy of the program"))?;
        Ok(Self {
            program,
            scratch: scratch.to_owned(),
        })
    }

    /// Runs a process to its end and passes on what it prints, piece by piece.
    ///
    /// When `stop` rises, the process is asked to end or killed. When the returned future is dropped, or croze dies, it
    /// is killed. In all cases everything it has started is gone with it.
    pub async fn run(
        &self,
        process: &Process,
        output: impl FnMut(Stream, Bytes),
        stop: watch::Receiver<Stop>,
    ) -> Result<Exit, RunError> {
        let (control, theirs) = StdUnixStream::pair().map_err(system("make a socket"))?;
        let (stdout, stdout_writer) = output_pipe()?;
        let (stderr, stderr_writer) = output_pipe()?;
        let mut monitor = self.start_monitor(theirs, stdout_writer, stderr_writer)?;

        control.set_nonblocking(true).map_err(system("set up a socket"))?;
        let control = UnixStream::from_std(control).map_err(system("set up a socket"))?;
        let (answers, mut orders) = control.into_split();
        let steps = wire::encode(&plan(process, &self.scratch)).map_err(system("encode the plan"))?;
        // A monitor that dies before it has read all is reported as such below.
        let _sent = orders.write_all(&steps).await;

        let mut listener = Listener {
            stdout: Some(stdout),
            stderr: Some(stderr),
            output,
        };
        let outcome = tokio::select! {
            outcome = receive(answers) => outcome,
            never = listener.listen() => match never {},
            never = obey(stop, &mut orders) => match never {},
        };
        let _incomplete = tokio::time::timeout(DRAIN, listener.drain()).await;
        monitor.wait().await.map_err(system("wait for the monitor"))?;
        match outcome.ok_or(RunError::MonitorDied)? {
            Outcome::Ended(exit) => Ok(exit),
            Outcome::NotStarted(error) => Err(error.into()),
            Outcome::MonitorFailed { verb, errno } => Err(RunError::Monitor {
                verb,
                source: io::Error::from_raw_os_error(errno),
            }),
        }
    }

    fn start_monitor(&self, control: StdUnixStream, stdout: OwnedFd, stderr: OwnedFd) -> Result<Child, RunError> {
        Command::new(format!("/proc/self/fd/{}", self.program.as_raw_fd()))
            .arg0(MONITOR_NAME)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(control)))
            .stdout(Stdio::from(stdout))
            .stderr(Stdio::from(stderr))
            .spawn()
            .map_err(system("start the step's monitor"))
    }
}

/// Receives what became of the step; `None` if the monitor ended without saying.
async fn receive(mut answers: unix::OwnedReadHalf) -> Option<Outcome> {
    let mut frame = Vec::new();
    answers.read_to_end(&mut frame).await.ok()?;
    wire::receive(&mut frame.as_slice()).ok()
}

/// Passes on every rise of `stop`, for ever.
async fn obey(mut stop: watch::Receiver<Stop>, orders: &mut unix::OwnedWriteHalf) -> std::convert::Infallible {
    stop.mark_changed();
    while stop.changed().await.is_ok() {
        let order = match *stop.borrow_and_update() {
            Stop::No => continue,
            Stop::Gently => TERMINATE,
            Stop::Now => KILL,
        };
        // A monitor that no longer listens has its answer under way.
        let _sent = orders.write_all(&[order]).await;
    }
    std::future::pending().await
}

/// Reads both streams of a step.
struct Listener<F> {
    stdout: Option<pipe::Receiver>,
    stderr: Option<pipe::Receiver>,
    output: F,
}

impl<F: FnMut(Stream, Bytes)> Listener<F> {
    /// Passes on output, for ever.
    async fn listen(&mut self) -> std::convert::Infallible {
        self.drain().await;
        std::future::pending().await
    }

    /// Passes on output until both streams have ended. May be dropped and called again without losing any.
    async fn drain(&mut self) {
        let (mut stdout, mut stderr) = (BytesMut::new(), BytesMut::new());
        while self.stdout.is_some() || self.stderr.is_some() {
            tokio::select! {
                more = read(&mut self.stdout, &mut stdout), if self.stdout.is_some() => match more {
                    Some(bytes) => (self.output)(Stream::Stdout, bytes),
                    None => self.stdout = None,
                },
                more = read(&mut self.stderr, &mut stderr), if self.stderr.is_some() => match more {
                    Some(bytes) => (self.output)(Stream::Stderr, bytes),
                    None => self.stderr = None,
                },
            }
        }
    }
}

/// Reads a piece; `None` at the end.
async fn read(stream: &mut Option<impl AsyncRead + Unpin>, buffer: &mut BytesMut) -> Option<Bytes> {
    buffer.reserve(BUFFER);
    match stream.as_mut()?.read_buf(buffer).await {
        Ok(1..) => Some(buffer.split().freeze()),
        Ok(0) | Err(_) => None,
    }
}

fn output_pipe() -> Result<(pipe::Receiver, OwnedFd), RunError> {
    let (reader, writer) = io::pipe().map_err(system("make a pipe"))?;
    let reader = pipe::Receiver::from_owned_fd(reader.into()).map_err(system("set up a pipe"))?;
    Ok((reader, writer.into()))
}

fn system(verb: &'static str) -> impl Fn(io::Error) -> RunError {
    move |source| RunError::System { verb, source }
}
