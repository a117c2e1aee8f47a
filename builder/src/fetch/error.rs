//! Why a source on the network cannot be had.

use std::io;
use std::path::{Path, PathBuf};

use registry::client::ClientError;
use registry::oci::Digest;
use snapshotter::layer::UnpackError;
use snapshotter::{FsError, InvalidSnapshotName};

use crate::secrets::SecretError;

/// Why a source on the network cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The web server could not be asked, or broke off.
    #[error("cannot fetch `{address}`")]
    Web {
        /// What was asked for.
        address: String,
        /// Why.
        #[source]
        source: Box<ClientError>,
    },
    /// The web server says no.
    #[error("cannot fetch `{address}`: invalid response status {status}")]
    Status {
        /// What was asked for.
        address: String,
        /// The HTTP status.
        status: u16,
    },
    /// The file is larger than any that is fetched.
    #[error("`{address}` has more than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        address: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The connection ended before the announced end of the file.
    #[error("`{address}` ended after {received} of {announced} bytes")]
    Truncated {
        /// What was asked for.
        address: String,
        /// Bytes that came.
        received: u64,
        /// Bytes that the server had announced.
        announced: u64,
    },
    /// The file is not the one that `--checksum` names.
    #[error("digest mismatch for `{address}`: expected {expected}, got {actual}")]
    Checksum {
        /// What was asked for.
        address: String,
        /// As asked for.
        expected: Digest,
        /// As fetched.
        actual: Digest,
    },
    /// A context that should be an archive is none.
    #[error("`{0}` is neither an archive nor a Dockerfile")]
    NotAnArchive(String),
    /// The archive is damaged or hostile.
    #[error("cannot unpack `{address}`")]
    Archive {
        /// What was asked for.
        address: String,
        /// At which entry, and why.
        #[source]
        source: UnpackError,
    },
    /// The repository has no such branch, tag or commit.
    #[error("repository does not contain ref `{reference}`")]
    NoRef {
        /// The name.
        reference: String,
    },
    /// The commit is not the one that the checksum names.
    #[error("expected checksum to match {expected}, got {actual}")]
    Commit {
        /// As asked for, perhaps only the beginning.
        expected: String,
        /// What the ref means.
        actual: String,
    },
    /// The directory is not one of the commit.
    #[error("`{0}` is not a directory of the repository, each part of it real")]
    NoSubdir(String),
    /// Git failed.
    #[error("git {command} failed ({status}): {message}")]
    Git {
        /// Its command.
        command: &'static str,
        /// How it ended.
        status: String,
        /// Its last words, without credentials.
        message: String,
    },
    /// Git tells no time of a commit.
    #[error("git tells no time of commit `{0}`")]
    NoTime(String),
    /// Git could not be started.
    #[error("cannot run git")]
    NoGit(#[source] io::Error),
    /// A credential is unusable.
    #[error("secret `{0}` is not one line of text")]
    Credential(String),
    /// A secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A file of the store could not be used.
    #[error("cannot {verb} `{}`", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A snapshot could not be made.
    #[error(transparent)]
    Snapshot(#[from] FsError),
    /// A digest makes no snapshot name; cannot happen as long as names allow hex digits.
    #[error(transparent)]
    Name(#[from] InvalidSnapshotName),
    /// The build ended meanwhile.
    #[error("the build was interrupted")]
    Interrupted,
}

impl FetchError {
    /// Adds verb and path to an I/O error.
    pub(super) fn io(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { verb, path, source }
    }

    /// Returns what a person may do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoGit(_) => Some("install git, or put it on the `PATH`".to_owned()),
            Self::Status { status: 401 | 403, .. } => {
                Some("give credentials with `--secret id=HTTP_AUTH_TOKEN_<host>,…`".to_owned())
            }
            Self::Git { message, .. } => {
                let known = REFUSALS.iter().find(|refusal| message.contains(refusal.said));
                known.map(|refusal| refusal.help.to_owned())
            }
            _ => None,
        }
    }

    /// Returns whether somebody did not let croze in.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status, 401 | 403),
            Self::Git { message, .. } => REFUSALS.iter().any(|refusal| message.contains(refusal.said)),
            _ => false,
        }
    }
}

/// What git and ssh say when they are not let in, or do not trust whom they talk to.
struct Refusal {
    said: &'static str,
    help: &'static str,
}

const REFUSALS: [Refusal; 4] = [
    Refusal {
        said: "Authentication",
        help: "give credentials with `--secret id=GIT_AUTH_TOKEN,…`",
    },
    Refusal {
        said: "could not read Username",
        help: "give credentials with `--secret id=GIT_AUTH_TOKEN,…`",
    },
    Refusal {
        said: "Permission denied (publickey",
        help: "give the agent that has the key with `--ssh default`",
    },
    Refusal {
        said: "Host key verification failed",
        help: "add the host to `~/.ssh/known_hosts`, after comparing its key with what `ssh-keyscan` shows",
    },
];
