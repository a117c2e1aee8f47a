//! A meter that sees the bytes of a request move, and ends it when they have not for too long.

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often the meter is read while a request is under way.
const TICK: Duration = Duration::from_millis(100);

/// What is told how many bytes of a blob are transferred; the number falls when a transfer starts over.
pub type Progress<'a> = &'a (dyn Fn(u64) + Send + Sync);

/// Counts the bytes of one request's body as they leave.
#[derive(Clone, Default, Debug)]
pub(super) struct Meter(Arc<Mutex<Reading>>);

#[derive(Debug)]
struct Reading {
    sent: u64,
    moved: Instant,
    stage: Stage,
    failure: Option<io::Error>,
}

/// Whose turn it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// The network's, to take what there is.
    Sending,
    /// That of whoever makes the bytes, which takes as long as it takes.
    Making,
    /// The other end's: all is sent.
    Sent,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            sent: 0,
            moved: Instant::now(),
            stage: Stage::Sending,
            failure: None,
        }
    }
}

/// How long nothing may move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Patience {
    /// While bytes are on their way.
    pub(super) idle: Duration,
    /// For the answer, once the body is sent: a registry may first digest and move gigabytes.
    pub(super) answer: Duration,
}

impl Meter {
    /// Drives `work` to its end, unless for too long nothing moves; `body` is the length of what it sends, if it is known.
    pub(super) async fn watch<F: Future>(
        &self,
        work: F,
        body: Option<u64>,
        patience: Patience,
        progress: Option<Progress<'_>>,
    ) -> Result<F::Output, Duration> {
        let mut work = pin!(work);
        let mut told = 0;
        // That all is sent does not mean that it has arrived: whoever knows tells.
        let mut report = |sent| {
            if sent != told && body.is_none_or(|body| sent < body) {
                told = sent;
                progress.iter().for_each(|progress| progress(sent));
            }
        };
        loop {
            let outcome = tokio::time::timeout(TICK, &mut work).await;
            let (sent, idle, stage) = {
                let reading = self.reading();
                (reading.sent, reading.moved.elapsed(), reading.stage)
            };
            report(sent);
            if let Ok(output) = outcome {
                return Ok(output);
            }
            let limit = match stage {
                Stage::Making => continue,
                Stage::Sent => patience.answer,
                Stage::Sending if body.is_some_and(|body| sent >= body) => patience.answer,
                Stage::Sending => patience.idle,
            };
            if idle > limit {
                return Err(limit);
            }
        }
    }

    /// Returns why the body could not be read, if that is what went wrong.
    pub(super) fn failure(&self) -> Option<io::Error> {
        self.reading().failure.take()
    }

    /// Counts bytes that leave.
    pub(super) fn count(&self, bytes: usize) {
        let mut reading = self.reading();
        reading.sent += bytes as u64;
        reading.moved = Instant::now();
        reading.stage = Stage::Sending;
    }

    /// Notes that all has left that there was, and more is being made.
    pub(super) fn wait(&self) {
        self.reading().stage = Stage::Making;
    }

    /// Notes that everything has left.
    pub(super) fn end(&self) {
        let mut reading = self.reading();
        reading.moved = Instant::now();
        reading.stage = Stage::Sent;
    }

    /// Keeps the reason why the body ends early, and returns what the connection hears of it.
    pub(super) fn fail(&self, error: io::Error) -> io::Error {
        let kind = error.kind();
        self.reading().failure = Some(error);
        kind.into()
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
