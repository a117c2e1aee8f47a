//! Events of a build, modelled on BuildKit's `SolveStatus` so that `rawjson` can carry them unchanged.

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
