//! Starting a step and listening to it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rustix::fd::OwnedFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
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

    /// Runs a process to its end and passes on what it prints, piece by piece. Who takes a piece may be slow: then the
    /// process waits, as for any pipe that is full, but not if it is to stop.
    ///
    /// When `stop` rises, the process is asked to end or killed. When the returned future is dropped, or croze dies, it
    /// is killed. In all cases everything it has started is gone with it.
    pub async fn run<Taken: Future<Output = ()>>(
        &self,
        process: &Process,
        output: impl FnMut(Stream, Bytes) -> Taken,
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
            stdout: Source::new(stdout),
            stderr: Source::new(stderr),
            output,
            held: None,
        };
        let stopped = stop.clone();
        let outcome = tokio::select! {
            outcome = receive(answers) => outcome,
            never = listener.listen() => match never {},
            never = obey(stop, &mut orders) => match never {},
        };
        tokio::select! {
            () = listener.rest() => {}
            () = given_up(stopped) => {}
        }
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

/// Returns a while after a step was told to stop, for which nobody waits long any more.
async fn given_up(mut stop: watch::Receiver<Stop>) {
    let is_told = stop.wait_for(|stop| *stop != Stop::No).await.is_ok();
    if is_told {
        tokio::time::sleep(DRAIN).await;
    } else {
        std::future::pending().await
    }
}

/// One stream of a step.
struct Source {
    /// Until it has ended.
    pipe: Option<pipe::Receiver>,
    buffer: BytesMut,
}

impl Source {
    fn new(pipe: pipe::Receiver) -> Self {
        Self {
            pipe: Some(pipe),
            buffer: BytesMut::with_capacity(BUFFER),
        }
    }

    /// Reads a piece; `None` at the end. It is a copy: what waits somewhere is to take no more memory than it is long.
    async fn read(&mut self) -> Option<Bytes> {
        self.buffer.clear();
        match self.pipe.as_mut()?.read_buf(&mut self.buffer).await {
            Ok(1..) => Some(Bytes::copy_from_slice(&self.buffer)),
            Ok(0) | Err(_) => {
                self.pipe = None;
                None
            }
        }
    }
}

/// Reads both streams of a step.
struct Listener<F> {
    stdout: Source,
    stderr: Source,
    output: F,
    /// A piece that was read and not yet taken.
    held: Option<(Stream, Bytes)>,
}

impl<Taken: Future<Output = ()>, F: FnMut(Stream, Bytes) -> Taken> Listener<F> {
    /// Passes on output, for ever. May be dropped without losing any.
    async fn listen(&mut self) -> std::convert::Infallible {
        while self.is_open() {
            self.pass_on().await;
            self.read().await;
        }
        std::future::pending().await
    }

    /// Passes on what is left when the step has ended. What is limited is the time of reading, not that of passing on.
    async fn rest(&mut self) {
        let mut patience = DRAIN;
        self.pass_on().await;
        while self.is_open() {
            let began = Instant::now();
            if tokio::time::timeout(patience, self.read()).await.is_err() {
                return;
            }
            patience = patience.saturating_sub(began.elapsed());
            self.pass_on().await;
        }
    }

    fn is_open(&self) -> bool {
        self.stdout.pipe.is_some() || self.stderr.pipe.is_some()
    }

    /// Passes on the piece that is held.
    async fn pass_on(&mut self) {
        if let Some((stream, bytes)) = &self.held {
            (self.output)(*stream, bytes.clone()).await;
            self.held = None;
        }
    }

    /// Reads a piece to hold, or notes the end of a stream.
    async fn read(&mut self) {
        let Self {
            stdout, stderr, held, ..
        } = self;
        *held = tokio::select! {
            bytes = stdout.read(), if stdout.pipe.is_some() => bytes.map(|bytes| (Stream::Stdout, bytes)),
            bytes = stderr.read(), if stderr.pipe.is_some() => bytes.map(|bytes| (Stream::Stderr, bytes)),
            else => None,
        };
    }
}
