//! Signals that ask croze to end.

use nix::sys::signal::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::{Failure, Kind, out_of};
use crate::sys;

/// What listens to them. It does so from when it is made, and must be there before anything is begun that they are to end:
/// what comes earlier ends the process at once.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Begins to listen; within a runtime.
    ///
    /// # Errors
    /// If descriptors have run out.
    pub(super) fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| out_of(&error, Kind::Resource));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one; none is lost between two calls.
    pub(super) async fn next(&mut self) -> Kind {
        tokio::select! {
            _ = self.interrupt.recv() => Kind::Interrupted,
            _ = self.terminate.recv() => Kind::Terminated,
            _ = self.hangup.recv() => Kind::Terminated,
        }
    }
}

/// Lets signals end the process again: nobody waits for them any more, and the store may be put in order at any time.
pub(super) fn obey() {
    for signal in [Number::SIGINT, Number::SIGTERM, Number::SIGHUP] {
        // Only a signal that does not exist is refused.
        let _infallible = sys::exit_on(signal);
    }
}
