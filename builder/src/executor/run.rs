//! Starting a step and listening to it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustix::fd::OwnedFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::unix;
use tokio::net::unix::pipe;
use tokio::sync::watch;

use super::exit::{Ended, Stop};
use super::own_program;
use super::plan::plan;
use super::process::Process;
use super::run_error::{RunError, system};
use super::setup_error::SetupError;
use super::starter::{Monitor, Starter};
use super::wire::{self, KILL, Outcome, TERMINATE};
use crate::progress::Stream;
use crate::rung::Confinement;
use crate::swap;

/// Size of the buffer for a stream of output, in bytes: what a pipe holds.
const BUFFER: usize = 64 << 10;

/// How long output is awaited after the end of a step. Its pipes have then been closed, unless a step has passed one to
/// a process outside.
const DRAIN: Duration = Duration::from_millis(200);

/// Runs processes. One serves a whole build, any number of steps at once.
#[derive(Debug)]
pub struct Executor {
    program: OwnedFd,
    scratch: PathBuf,
    confinement: Confinement,
    starter: Mutex<Starter>,
}

impl Executor {
    /// Prepares to run processes. `scratch` is an existing, empty directory that nothing else uses; steps mount over
    /// it, each in its own mount namespace. `confinement` is what this process has entered.
    pub fn new(scratch: &Path, confinement: Confinement) -> Result<Self, RunError> {
        let program = own_program::read_only().map_err(system("make a read-only copy of the program"))?;
        Ok(Self {
            starter: Mutex::new(Starter::start(&program)?),
            program,
            scratch: scratch.to_owned(),
            confinement,
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
    ) -> Result<Ended, RunError> {
        let Monitor {
            control,
            stdout,
            stderr,
        } = self.monitor()?;
        let (answers, mut orders) = control.into_split();
        let plan = wire::encode(&plan(process, &self.scratch, self.confinement)).map_err(system("encode the plan"))?;
        // A monitor that dies before it has read all is reported as such below.
        let _sent = orders.write_all(&plan).await;

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
        let Some(outcome) = outcome else {
            if self.confinement.rung.is_in_place() {
                let put_back = tokio::task::spawn_blocking(swap::put_back).await;
                put_back.map_err(|_| RunError::MonitorDied)?.map_err(SetupError::from)?;
            }
            return Err(RunError::MonitorDied);
        };
        match outcome {
            Outcome::Ended(ended) => Ok(ended),
            Outcome::NotStarted(error) | Outcome::NotUndone(error) => Err(error.into()),
            Outcome::MonitorFailed { verb, errno } => Err(RunError::Monitor {
                verb,
                source: io::Error::from_raw_os_error(errno),
            }),
        }
    }

    /// Returns a monitor that waits for its plan.
    fn monitor(&self) -> Result<Monitor, RunError> {
        let mut starter = self.starter.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(monitor) = starter.monitor()? {
            return Ok(monitor);
        }
        // Somebody has killed it.
        *starter = Starter::start(&self.program)?;
        starter.monitor()?.ok_or(RunError::MonitorDied)
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
