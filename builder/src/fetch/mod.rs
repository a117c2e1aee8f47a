//! Sources on the network: web files and git commits, pinned now and kept as snapshots.
//!
//! A source is asked in every build what it is: a web server with the validators of last time, a repository for the
//! commit of a ref. What it was then found to be is a snapshot named after its content, so that the same answer
//! transfers nothing. A source whose `--checksum` is at hand is not asked at all.
//!
//! Everything that comes from outside is a stranger's: sizes are bounded, archives are unpacked confined, git runs
//! with nothing of the user's configuration (`git`), credentials reach only the host that they were given for.

mod archive;
mod context;
mod error;
mod git;
mod http;
mod remembered;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod foreign;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use registry::client::{Proxies, Web, WebOptions};
use registry::oci::Digest;
use snapshotter::{SnapshotName, SnapshotStore};

pub use context::ContextFile;
pub use error::FetchError;
pub use git::CheckedOut;

use crate::op::{HttpForm, Op};
use crate::secrets::Secrets;
use crate::state_dir::Lease;

/// Fetches the sources of one build.
pub struct Fetcher {
    web: Web,
    snapshots: Arc<SnapshotStore>,
    /// Directory of what is remembered between builds: validators of web files, and repositories.
    memory: PathBuf,
    lease: Arc<Lease>,
    /// A private directory on the file system of the store.
    scratch: PathBuf,
    secrets: Secrets,
    environment: Vec<(String, OsString)>,
}

/// Where a fetcher works and what it may use.
pub struct FetcherOptions {
    /// Where what is fetched is kept.
    pub snapshots: Arc<SnapshotStore>,
    /// Directory of what is remembered between builds.
    pub memory: PathBuf,
    /// What keeps repositories from being removed meanwhile.
    pub lease: Arc<Lease>,
    /// A private directory on the file system of the store.
    pub scratch: PathBuf,
    /// Certificates to believe beside the system's, as PEM files.
    pub extra_ca: Vec<PathBuf>,
    /// Proxies between us and web servers.
    pub proxies: Proxies,
    /// Where credentials are looked for, and the agents that ssh may ask.
    pub secrets: Secrets,
    /// All that git, and what it starts, sees of the environment: `PATH`, proxies, the ssh client's known hosts.
    pub environment: Vec<(String, OsString)>,
}

/// A source, pinned and at hand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetched {
    /// What identifies its files between builds.
    pub identity: Digest,
    /// Which version of the source it is.
    pub revision: Revision,
    /// Its files.
    pub snapshot: SnapshotName,
    /// Its own time in seconds since 1970, if it has one: that of the commit, or what the server or the archive say.
    pub time: Option<i64>,
}

/// Which version of a source was found.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Revision {
    /// The commit of a repository, by its whole name.
    Commit(String),
    /// The bytes of a file.
    Bytes(Digest),
}

impl Fetcher {
    /// Makes a fetcher; nothing is asked yet.
    pub fn new(options: FetcherOptions) -> Self {
        Self {
            web: Web::new(WebOptions {
                extra_ca: options.extra_ca,
                proxies: options.proxies,
                ..WebOptions::default()
            }),
            snapshots: options.snapshots,
            memory: options.memory,
            lease: options.lease,
            scratch: options.scratch,
            secrets: options.secrets,
            environment: options.environment,
        }
    }

    /// Returns a secret that is text on one line, as credentials are; the first of `ids` that is given.
    fn credential(&self, ids: &[String]) -> Result<Option<String>, FetchError> {
        for id in ids {
            let Some(bytes) = self.secrets.get(id)? else { continue };
            let text = String::from_utf8(bytes).map_err(|_| FetchError::Credential(id.clone()))?;
            let text = text.trim().to_owned();
            if text.chars().any(char::is_control) {
                return Err(FetchError::Credential(id.clone()));
            }
            return Ok(Some(text));
        }
        Ok(None)
    }

    /// Returns a source's own time in seconds since 1970, if it has one. That of an archive whose server says nothing
    /// is the latest time in it, whatever is done with the archive later.
    ///
    /// # Errors
    /// If the source cannot be had.
    pub async fn time(&self, op: &Op) -> Result<Option<i64>, FetchError> {
        let op = match op {
            Op::Git(op) => return Ok(self.git(op).await?.time),
            Op::Http(op) => op,
            _ => return Ok(None),
        };
        let fetched = self.http(op).await?;
        let HttpForm::File { name } = &op.form else {
            return Ok(fetched.time);
        };
        if fetched.time.is_some() {
            return Ok(fetched.time);
        }
        let (path, snapshots) = (
            self.snapshots.fs_dir(&fetched.snapshot).join(name),
            Arc::clone(&self.snapshots),
        );
        blocking(move || archive::latest_inside(&path, &snapshots)).await
    }

    fn is_kept(&self, snapshot: &SnapshotName) -> Result<bool, FetchError> {
        Ok(self.snapshots.stat(snapshot)?.is_some())
    }
}

/// Names the snapshot of what `digest` identifies.
fn snapshot_name(kind: &str, digest: Digest) -> Result<SnapshotName, FetchError> {
    Ok(SnapshotName::new(&format!("{kind}-{}", digest.hex()))?)
}

/// Runs what blocks on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_ended) => Err(FetchError::Interrupted),
    }
}
