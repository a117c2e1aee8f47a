//! Events of a build, modelled on BuildKit's `SolveStatus` so that `rawjson` can carry them unchanged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::SystemTime;

use registry::oci::Digest;

use crate::diagnostic::Diagnostic;

/// The number of a displayed step, in the order of declaration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StepId(pub u32);

/// Which of a step's streams a piece of its log came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A step will be shown under `name`; `digest` identifies it in `rawjson`.
    Declared {
        /// The step.
        step: StepId,
        /// As BuildKit names it: `[build 2/5] RUN make`, `[internal] load build context`.
        name: String,
        /// Identity, stable between builds of the same definition.
        digest: Digest,
        /// Steps that must end before it.
        inputs: Vec<StepId>,
    },
    /// A step has begun.
    Started {
        /// The step.
        step: StepId,
        /// When.
        at: SystemTime,
    },
    /// A step need not run: its result was in the cache.
    Cached {
        /// The step.
        step: StepId,
        /// When.
        at: SystemTime,
    },
    /// A step has ended, well or not.
    Completed {
        /// The step.
        step: StepId,
        /// When.
        at: SystemTime,
        /// Why it failed.
        error: Option<String>,
    },
    /// A step printed something, byte for byte.
    Log {
        /// The step.
        step: StepId,
        /// Where it printed.
        stream: Stream,
        /// What it printed; not cut at lines, not cleaned.
        bytes: bytes::Bytes,
        /// When.
        at: SystemTime,
    },
    /// Progress of one item (a layer, a file) within a step.
    Transfer {
        /// The step.
        step: StepId,
        /// What is moved: `sha256:…`, `exporting layers`.
        item: String,
        /// Bytes so far.
        current: u64,
        /// Bytes in all, if known.
        total: Option<u64>,
        /// Whether the item is done.
        done: bool,
        /// When.
        at: SystemTime,
    },
    /// A step has brought something about: `pushing manifest for example.com/app:1@sha256:…`.
    Outcome {
        /// The step.
        step: StepId,
        /// What, in BuildKit's words.
        text: String,
        /// When.
        at: SystemTime,
    },
    /// Something the user should know but that stops nothing.
    Warning(Box<Diagnostic>),
}

/// The sending side: cheap to clone, never blocks, silent when nobody listens.
#[derive(Clone)]
pub struct Progress {
    sender: mpsc::Sender<Event>,
    next: Arc<AtomicU32>,
}

impl Progress {
    /// Makes a sender and the receiver that a display reads until it hangs up.
    pub fn channel() -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel();
        (
            Self {
                sender,
                next: Arc::default(),
            },
            receiver,
        )
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

    /// Passes on what a step printed.
    pub fn log(&self, step: StepId, stream: Stream, bytes: bytes::Bytes) {
        self.send(Event::Log {
            step,
            stream,
            bytes,
            at: SystemTime::now(),
        });
    }

    /// Says how far an item has come.
    pub fn transfer(&self, step: StepId, item: impl Into<String>, current: u64, total: Option<u64>, done: bool) {
        self.send(Event::Transfer {
            step,
            item: item.into(),
            current,
            total,
            done,
            at: SystemTime::now(),
        });
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
        // A display that has gone away must not stop the build.
        let _nobody_listens = self.sender.send(event);
    }
}
