//! The way from those who do things to the display: a channel that holds a bounded part of what steps print.
//!
//! Whoever reads croze's output may be slow, or may have stopped reading. What steps have printed then stays with them,
//! in their pipes; all else that a build tells is little, and nobody waits to tell it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use registry::oci::Digest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Event, StepId, Stream};
use crate::diagnostic::Diagnostic;

/// What may wait for the display, in bytes of memory.
const CAPACITY: usize = 4 << 20;
/// What an event takes beside the bytes that a step has printed.
const OVERHEAD: usize = 256;

/// The sending side: cheap to clone, silent when nobody listens. Only [`Progress::print`] ever waits.
#[derive(Clone)]
pub struct Progress {
    sender: mpsc::Sender<Queued>,
    next: Arc<AtomicU32>,
    room: Arc<Semaphore>,
}

/// The receiving side.
pub struct Events(mpsc::Receiver<Queued>);

/// An event that has arrived.
pub struct Queued {
    /// The event.
    pub event: Event,
    /// What it takes of the room for events: to be kept until the event has been shown.
    pub room: Room,
}

/// Room that is free again when this is dropped.
pub struct Room {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Events {
    /// Waits for the next event.
    ///
    /// # Errors
    /// If none comes within this time, or none will ever come because all senders are gone.
    pub fn recv_timeout(&self, within: Duration) -> Result<Queued, RecvTimeoutError> {
        self.0.recv_timeout(within)
    }
}

impl Progress {
    /// Makes a sender and the receiver that a display reads until it hangs up.
    pub fn channel() -> (Self, Events) {
        let (sender, receiver) = mpsc::channel();
        let progress = Self {
            sender,
            next: Arc::default(),
            room: Arc::new(Semaphore::new(CAPACITY)),
        };
        (progress, Events(receiver))
    }

    /// Declares a step and returns its number.
    pub fn declare(&self, name: impl Into<String>, digest: Digest, inputs: Vec<StepId>) -> StepId {
        let step = StepId(self.next.fetch_add(1, Ordering::Relaxed));
        self.send(Event::Declared {
            step,
            name: name.into(),
            digest,
            inputs,
        });
        step
    }

    /// Says that a step has begun.
    pub fn started(&self, step: StepId) {
        self.send(Event::Started {
            step,
            at: SystemTime::now(),
        });
    }

    /// Says that a step's result was in the cache.
    pub fn cached(&self, step: StepId) {
        self.send(Event::Cached {
            step,
            at: SystemTime::now(),
        });
    }

    /// Says that a step has ended.
    pub fn completed(&self, step: StepId, error: Option<String>) {
        self.send(Event::Completed {
            step,
            at: SystemTime::now(),
            error,
        });
    }

    /// Passes on what a step printed, as soon as there is room for it: who prints more than is read waits, as for any
    /// pipe that is full. May be dropped while it waits; nothing has been passed on then.
    pub async fn print(&self, step: StepId, stream: Stream, bytes: Bytes) {
        let size = (bytes.len() + OVERHEAD).min(CAPACITY) as u32;
        // Nobody ever closes it.
        let room = Arc::clone(&self.room).acquire_many_owned(size).await.ok();
        let event = Event::Log {
            step,
            stream,
            bytes,
            at: SystemTime::now(),
        };
        self.queue(event, Room { _permit: room });
    }

    /// Adds something of our own to what a step prints.
    pub fn log(&self, step: StepId, stream: Stream, bytes: Bytes) {
        self.send(Event::Log {
            step,
            stream,
            bytes,
            at: SystemTime::now(),
        });
    }

    /// Says how far an item has come; nothing, if the display is behind and the item will be heard of again.
    pub fn transfer(&self, step: StepId, item: impl Into<String>, current: u64, total: Option<u64>, done: bool) {
        let room = Arc::clone(&self.room).try_acquire_many_owned(OVERHEAD as u32).ok();
        if room.is_none() && !done {
            return;
        }
        let event = Event::Transfer {
            step,
            item: item.into(),
            current,
            total,
            done,
            at: SystemTime::now(),
        };
        self.queue(event, Room { _permit: room });
    }

    /// Says what a step has brought about.
    pub fn outcome(&self, step: StepId, text: impl Into<String>) {
        self.send(Event::Outcome {
            step,
            text: text.into(),
            at: SystemTime::now(),
        });
    }

    /// Warns.
    pub fn warn(&self, warning: Diagnostic) {
        self.send(Event::Warning(Box::new(warning)));
    }

    fn send(&self, event: Event) {
        self.queue(event, Room { _permit: None });
    }

    fn queue(&self, event: Event, room: Room) {
        // A display that has gone away must not stop the build.
        let _nobody_listens = self.sender.send(Queued { event, room });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: StepId = StepId(0);

    /// Prints pieces of 64 KiB until that has to wait; returns how many there were.
    async fn fill(progress: &Progress) -> usize {
        let piece = Bytes::from(vec![b'y'; 64 << 10]);
        let mut count = 0;
        while tokio::time::timeout(
            Duration::from_millis(50),
            progress.print(STEP, Stream::Stdout, piece.clone()),
        )
        .await
        .is_ok()
        {
            count += 1;
        }
        count
    }

    #[tokio::test]
    async fn who_prints_waits_while_nothing_is_shown_and_goes_on_when_something_is() {
        let (progress, events) = Progress::channel();
        let count = fill(&progress).await;
        assert!((2..=CAPACITY / (64 << 10)).contains(&count), "{count}");
        // What is of ours never waits, and what nobody will miss is not kept.
        progress.started(STEP);
        for current in 0..1_000_000 {
            progress.transfer(STEP, "layer", current, None, false);
        }
        drop(events.recv_timeout(Duration::ZERO).unwrap());
        assert_eq!(fill(&progress).await, 1);
        drop(progress);
        let left = std::iter::from_fn(|| events.recv_timeout(Duration::ZERO).ok()).count();
        assert!(left < 10_000, "{left}");
    }

    #[tokio::test]
    async fn nobody_waits_for_a_display_that_has_gone() {
        let (progress, events) = Progress::channel();
        fill(&progress).await;
        drop(events);
        for _ in 0..1000 {
            progress
                .print(STEP, Stream::Stdout, Bytes::from(vec![b'y'; 64 << 10]))
                .await;
        }
    }
}
