//! Why a step could not be set up, in a form that can cross from the process that saw it to the one that tells.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use snapshotter::{FsError, MountError};

use crate::swap::SwapError;

/// Why a step could not be set up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum SetupError {
    /// A system call on a path failed.
    #[error("cannot {verb} `{}`", .path.display())]
    System {
        /// What was attempted.
        verb: String,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: SystemError,
    },
    /// A stack of snapshots could not be mounted.
    #[error("{message}")]
    Overlay {
        /// Which part of it failed.
        message: String,
        /// What the kernel said.
        #[source]
        source: Option<SystemError>,
    },
    /// The root file system is laid out on disk, which a sandbox that mounts does not take.
    #[error("this sandbox takes no root file system that is laid out flat")]
    FlatRoot,
    /// The tree could not take the place of what lies in `/`.
    #[error("{message}")]
    Swap {
        /// What failed.
        message: String,
        /// What the kernel said.
        #[source]
        source: Option<SystemError>,
    },
    /// A name of the tree cannot be made in `/`.
    #[error("this sandbox has no place for `{}` of the image being built: this container's `/` is not croze's to change", .path.display())]
    NoPlace {
        /// The path.
        path: PathBuf,
    },
    /// What this container has of its own could not be put back in its place.
    #[error("`{}` of this container could not be put back: its own files lie in `{}`", .path.display(), .kept.display())]
    Stranded {
        /// What belongs there.
        path: PathBuf,
        /// Where it lies meanwhile.
        kept: PathBuf,
        /// What the kernel said.
        #[source]
        source: SystemError,
    },
    /// Something cannot be put over the root file system without a mount.
    #[error("this sandbox can mount nothing at `{}`", .target.display())]
    CannotPlace {
        /// The mount point.
        target: PathBuf,
    },
    /// The kernel refuses a new procfs because parts of the visible one are covered.
    #[error("cannot mount a new `/proc`: parts of this container's `/proc` are masked")]
    ProcMasked,
    /// What a mount would show does not exist.
    #[error("`{}` does not exist in the source of the mount", .path.display())]
    SourceMissing {
        /// Path in the source.
        path: PathBuf,
    },
    /// A directory would have to be mounted on something else, or the other way round.
    #[error("cannot mount a {} on `{}`, which is not one", kind(*.directory), .target.display())]
    TargetKind {
        /// The mount point.
        target: PathBuf,
        /// Whether a directory is to be mounted.
        directory: bool,
    },
    /// A mount would cover the whole root file system.
    #[error("the mount point `{}` is the root directory", .target.display())]
    TargetIsRoot {
        /// The mount point, before its links were followed.
        target: PathBuf,
    },
    /// The working directory cannot be entered.
    #[error("cannot enter the working directory `{}`", .path.display())]
    WorkingDirectory {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: SystemError,
    },
    /// The working directory lies in procfs, from where processes outside could be reached.
    #[error("the working directory `{}` lies in `/proc`", .path.display())]
    WorkingDirectoryInProc {
        /// Which.
        path: PathBuf,
    },
    /// A limit is above what croze itself may raise it to.
    #[error(
        "cannot set the limit `{wanted}`: this machine permits at most {}",
        permitted.map_or_else(|| "what it is".to_owned(), |limit| limit.to_string())
    )]
    LimitAboveHard {
        /// As it was asked for.
        wanted: String,
        /// The hard limit of croze itself.
        permitted: Option<u64>,
    },
    /// There is no such program.
    #[error("exec: \"{program}\": executable file not found in $PATH")]
    ProgramNotFound {
        /// As it was asked for.
        program: String,
    },
    /// The program is there but what has to run it is not.
    #[error("exec: \"{}\": the interpreter it names does not exist in the image", .program.display())]
    InterpreterNotFound {
        /// Its path.
        program: PathBuf,
    },
    /// The program is not for this kind of machine, or is no program.
    #[error("exec: \"{}\": exec format error", .program.display())]
    ExecFormat {
        /// Its path.
        program: PathBuf,
    },
    /// The program could not be run for another reason.
    #[error("exec: \"{}\"", .program.display())]
    Exec {
        /// Its path.
        program: PathBuf,
        /// What the kernel said.
        #[source]
        source: SystemError,
    },
    /// An argument or a variable contains a NUL byte.
    #[error("an argument or environment variable contains a NUL byte")]
    Nul,
}

fn kind(directory: bool) -> &'static str {
    if directory { "directory" } else { "file" }
}

impl From<MountError> for SetupError {
    fn from(error: MountError) -> Self {
        let source = match &error {
            MountError::TooManyLayers { .. } => None,
            MountError::Directory(error) => Some(SystemError::from(&error.source)),
            MountError::Refused { source, .. } => Some(SystemError::from(source)),
        };
        Self::Overlay {
            message: error.to_string(),
            source,
        }
    }
}

impl From<SwapError> for SetupError {
    fn from(error: SwapError) -> Self {
        let message = error.to_string();
        let source = match error {
            SwapError::NoPlace { path } => return Self::NoPlace { path },
            SwapError::Stranded { path, kept, source } => {
                let source = SystemError::from(source);
                return Self::Stranded { path, kept, source };
            }
            SwapError::System { source, .. } | SwapError::Immovable { source, .. } => Some(SystemError::from(source)),
            SwapError::Taken { .. } | SwapError::Journal { .. } => None,
        };
        Self::Swap { message, source }
    }
}

impl From<FsError> for SetupError {
    fn from(error: FsError) -> Self {
        Self::System {
            verb: error.verb.into(),
            source: SystemError::from(&error.source),
            path: error.path,
        }
    }
}

/// An error number of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SystemError(i32);

impl SystemError {
    /// Returns it as the I/O error it stands for.
    pub fn to_io_error(self) -> io::Error {
        io::Error::from_raw_os_error(self.0)
    }
}

impl std::fmt::Display for SystemError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_io_error().fmt(f)
    }
}

impl std::error::Error for SystemError {}

impl From<Errno> for SystemError {
    fn from(error: Errno) -> Self {
        Self(error.raw_os_error())
    }
}

impl From<nix::errno::Errno> for SystemError {
    fn from(error: nix::errno::Errno) -> Self {
        Self(error as i32)
    }
}

impl From<&io::Error> for SystemError {
    fn from(error: &io::Error) -> Self {
        // Errors without a number come from the standard library's own checks and are about arguments.
        Self(error.raw_os_error().unwrap_or(libc::EINVAL))
    }
}

impl From<io::Error> for SystemError {
    fn from(error: io::Error) -> Self {
        Self::from(&error)
    }
}

/// Adds to a failed system call what was attempted on which path.
pub(super) trait OnPath<T> {
    /// Turns the error into a [`SetupError`].
    fn on(self, verb: &str, path: impl AsRef<Path>) -> Result<T, SetupError>;
}

impl<T, E: Into<SystemError>> OnPath<T> for Result<T, E> {
    fn on(self, verb: &str, path: impl AsRef<Path>) -> Result<T, SetupError> {
        self.map_err(|error| SetupError::System {
            verb: verb.into(),
            path: path.as_ref().to_owned(),
            source: error.into(),
        })
    }
}
