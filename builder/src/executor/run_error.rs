//! What can go wrong between croze and a step's monitor.

use std::io;

use super::setup_error::SetupError;

/// Why a step could not be run to its end. That its program fails is no error but an [`Exit`](super::Exit).
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

/// Says what croze was doing when a system call failed.
pub(super) fn system(verb: &'static str) -> impl Fn(io::Error) -> RunError {
    move |source| RunError::System { verb, source }
}
