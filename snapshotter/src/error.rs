//! The one way a failed system call on a path is reported.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::escape::Escaped;

/// A file-system call that failed, with what was tried on which path.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} `{}`", Escaped(self.path.as_os_str().as_bytes()))]
pub struct FsError {
    /// What was tried, as a verb that fits "cannot …".
    pub verb: &'static str,
    /// The path it was tried on, relative to the [`crate::Root`] where there is one.
    pub path: PathBuf,
    /// Why the kernel refused.
    #[source]
    pub source: io::Error,
}

impl FsError {
    /// Reports that `verb` failed on `path`.
    pub fn new(verb: &'static str, path: impl AsRef<Path>, source: impl Into<io::Error>) -> Self {
        Self {
            verb,
            path: path.as_ref().to_owned(),
            source: source.into(),
        }
    }

    /// Returns the `errno` of the failed call, when it was one.
    pub fn errno(&self) -> Option<rustix::io::Errno> {
        rustix::io::Errno::from_io_error(&self.source)
    }
}

/// Adds verb and path to the result of a system call.
pub(crate) trait OnPath<T> {
    /// Reports a failure as `verb` on `path`.
    fn on(self, verb: &'static str, path: impl AsRef<Path>) -> Result<T, FsError>;
}

impl<T, E: Into<io::Error>> OnPath<T> for Result<T, E> {
    fn on(self, verb: &'static str, path: impl AsRef<Path>) -> Result<T, FsError> {
        self.map_err(|source| FsError::new(verb, path, source))
    }
}
