//! The threads that write outputs: they hear when the build is cancelled, and it ends after them.

use std::convert::Infallible;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::BuildError;

/// Starts threads that write.
#[derive(Clone)]
pub(super) struct Writing {
    cancel: CancellationToken,
    /// Held by each thread for as long as it writes.
    alive: mpsc::Sender<Infallible>,
}

/// Knows when all of these have ended.
pub(super) struct Written(mpsc::Receiver<Infallible>);

impl Writing {
    /// Threads that hear of `cancel`.
    pub(super) fn until(cancel: &CancellationToken) -> (Self, Written) {
        let (alive, ended) = mpsc::channel(1);
        let cancel = cancel.clone();
        (Self { cancel, alive }, Written(ended))
    }

    /// Writes on a thread that may block; it goes on until it sees the cancellation, even if nobody waits for it here.
    pub(super) async fn run<E>(
        &self,
        work: impl FnOnce(&CancellationToken) -> Result<(), E> + Send + 'static,
    ) -> Result<(), BuildError>
    where
        E: Send + 'static,
        BuildError: From<E>,
    {
        let Self { cancel, alive } = self.clone();
        let writing = tokio::task::spawn_blocking(move || {
            let written = work(&cancel);
            drop(alive);
            written
        });
        Ok(writing.await.map_err(BuildError::panicked("export"))??)
    }
}

impl Written {
    /// Waits until nobody writes; what starts threads must be dropped before.
    pub(super) async fn all(mut self) {
        if let Some(never) = self.0.recv().await {
            match never {}
        }
    }
}
