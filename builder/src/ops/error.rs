//! Why an operation failed.

use std::io;

use snapshotter::{FsError, InvalidSnapshotName, StackError};

use super::cache_mount::CacheMountError;
use crate::context::SelectError;
use crate::copy::CopyError;
use crate::devices::DeviceError;
use crate::executor::{Exit, RunError, SetupError};
use crate::fetch::FetchError;
use crate::identity::IdentityError;
use crate::image::{ImportError, PullError};
use crate::secrets::SecretError;

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum OpError {
    /// The command ended badly.
    #[error("process `{command}` did not complete successfully: {}", ended(*.exit))]
    Exit {
        /// The command as a line.
        command: String,
        /// How it ended.
        exit: Exit,
    },
    /// The command ended badly, and there is no space left for what steps write.
    #[error("process `{command}` did not complete successfully: {}; no space left for what steps write", ended(*.exit))]
    NoSpace {
        /// The command as a line.
        command: String,
        /// How it ended.
        exit: Exit,
    },
    /// A command is to be run where nothing confines it.
    #[error("no sandbox works on this machine, and `RUN` needs one")]
    NoSandbox,
    /// The command could not be started.
    #[error("cannot run `{command}`")]
    Exec {
        /// The command as a line.
        command: String,
        /// Why.
        #[source]
        source: RunError,
    },
    /// An image could not be resolved or pulled.
    #[error(transparent)]
    Pull(#[from] PullError),
    /// A layer that another machine made could not be had.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A source on the network could not be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A context could not be read, or lacks a file.
    #[error(transparent)]
    Context(#[from] SelectError),
    /// Files could not be copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// A user or group is not known.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A device cannot be given to a step.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A secret cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A cache mount cannot be used.
    #[error(transparent)]
    CacheMount(#[from] CacheMountError),
    /// There is no tree of a chain of layers.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// A snapshot could not be made.
    #[error(transparent)]
    Snapshot(#[from] FsError),
    /// A key makes no snapshot name; cannot happen as long as names allow hex digits.
    #[error(transparent)]
    Name(#[from] InvalidSnapshotName),
    /// Nobody gave this context.
    #[error("there is no build context `{0}`")]
    NoContext(String),
    /// A socket that leads to an ssh agent could not be made.
    #[error("cannot make the agent's socket in `{path}`")]
    Agent {
        /// Where.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of the machine could not be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The result could not be written down.
    #[error("cannot write a record")]
    Record(#[source] serde_json::Error),
    /// The solver asked to pin what is not a source.
    #[error("`{0}` is not a source")]
    NotASource(String),
    /// The solver asked to run a source.
    #[error("`{0}` is a source and does not run")]
    Source(String),
    /// The build ended meanwhile.
    #[error("the build was cancelled")]
    Cancelled,
}

impl OpError {
    /// Returns whether it has left something behind that the user has to mend: files of this container that are not where they
    /// belong.
    pub fn is_lasting(&self) -> bool {
        let Self::Exec { source, .. } = self else { return false };
        matches!(source, RunError::Setup(SetupError::Stranded { .. }))
    }

    /// Returns whether a file was not any more what it had been a moment before: trying again may work.
    pub fn is_change(&self) -> bool {
        matches!(
            self,
            Self::Copy(CopyError::ChangedWhileReading { .. }) | Self::Context(SelectError::ChangedWhileReading { .. })
        )
    }
}

fn ended(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit code: {code}"),
        Exit::Signal(9) => "killed by SIGKILL (out of memory?)".to_owned(),
        Exit::Signal(signal) => format!("killed by signal {signal}"),
    }
}
