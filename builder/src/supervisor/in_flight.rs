//! Files on their way to the step, which are open twice for a moment.

use std::sync::{PoisonError, RwLock};

use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};

/// Files that the supervisor has opened for the step, and has not closed yet.
///
/// Whoever gets a file goes on at once, and may have written, closed and started it before the supervisor has come to
/// close its own copy: the kernel starts nothing that somebody has open for writing.
#[derive(Default)]
pub(super) struct InFlight(RwLock<()>);

impl InFlight {
    /// Hands over one file.
    pub(super) fn hand_over<T>(&self, file: OwnedFd, hand_over: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
        let _not_closed = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let handed_over = hand_over(file.as_fd());
        drop(file);
        handed_over
    }

    /// Waits until all are closed that the step has got before.
    pub(super) fn wait(&self) {
        drop(self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}
