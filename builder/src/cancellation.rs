//! Work on files that ends early when nobody wants its result any more.

use std::io::{self, Write};

use tokio_util::sync::CancellationToken;

/// Fails if the build is cancelled; not as interrupted, after which readers and writers try again.
///
/// # Errors
/// Only then.
pub fn go_on(cancel: &CancellationToken) -> io::Result<()> {
    match cancel.is_cancelled() {
        true => Err(io::Error::other("the build was cancelled")),
        false => Ok(()),
    }
}

/// A writer that fails once the build is cancelled.
#[derive(Debug)]
pub struct Cancellable<'c, W> {
    /// What is written to.
    pub inner: W,
    /// Cancelled with the build.
    pub cancel: &'c CancellationToken,
}

impl<W: Write> Write for Cancellable<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        go_on(self.cancel)?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
