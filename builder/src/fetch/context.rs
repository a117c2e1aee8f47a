//! Build contexts that are one file: an archive of the context, or a Dockerfile for an empty one.

use std::fs;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use registry::oci::{Digest, Hasher};
use snapshotter::SnapshotStore;

use super::{FetchError, Fetched, Fetcher, Revision, archive, blocking, snapshot_name};
use crate::context::BUFFER;
use crate::op::{HttpForm, HttpOp};
use crate::remote::WebAddress;
use crate::state_dir::unfinished;

/// What the one file has turned out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ContextFile {
    /// A tree of files.
    Tree(Fetched),
    /// A Dockerfile.
    Text {
        /// Its text.
        text: String,
        /// An empty tree to go with it.
        empty: Fetched,
        /// Its time in seconds since 1970, if it has one.
        time: Option<i64>,
    },
}

impl Fetcher {
    /// Fetches a context from a web server; a Dockerfile has at most `limit` bytes.
    ///
    /// # Errors
    /// If it cannot be fetched, or is neither an archive nor text.
    pub async fn web_context(&self, address: &WebAddress, limit: u64) -> Result<ContextFile, FetchError> {
        let (fetched, path) = self.web_file(address).await?;
        let (snapshots, address) = (Arc::clone(&self.snapshots), address.to_string());
        blocking(move || open(&snapshots, &path, fetched.identity, fetched.time, &address, limit)).await
    }

    /// Fetches a text of at most `limit` bytes from a web server.
    ///
    /// # Errors
    /// If it cannot be fetched, or is no text.
    pub async fn web_text(&self, address: &WebAddress, limit: u64) -> Result<String, FetchError> {
        let (_, path) = self.web_file(address).await?;
        read_text(&path, &address.to_string(), limit)
    }

    /// Reads a context from a stream, all of it; a Dockerfile has at most `limit` bytes.
    ///
    /// # Errors
    /// If it cannot be read, or is neither an archive nor text.
    pub async fn stream_context(
        &self,
        mut stream: impl Read + Send + 'static,
        limit: u64,
    ) -> Result<ContextFile, FetchError> {
        let (snapshots, scratch) = (Arc::clone(&self.snapshots), self.scratch.clone());
        blocking(move || {
            let created = unfinished::create(&scratch, "stream-");
            let (mut file, path) = created.map_err(FetchError::io("create in", &scratch))?;
            let (mut hasher, mut buffer) = (Hasher::new(), vec![0; BUFFER]);
            loop {
                let read = stream.read(&mut buffer);
                let piece = match read.map_err(FetchError::io("read", Path::new("standard input")))? {
                    0 => break,
                    length => &buffer[..length],
                };
                hasher.update(piece);
                file.write_all(piece).map_err(FetchError::io("write", &path))?;
            }
            open(&snapshots, &path, hasher.finish(), None, "standard input", limit)
        })
        .await
    }

    async fn web_file(&self, address: &WebAddress) -> Result<(Fetched, PathBuf), FetchError> {
        const NAME: &str = "context";
        let op = HttpOp {
            address: address.clone(),
            form: HttpForm::File { name: NAME.to_owned() },
            checksum: None,
        };
        let fetched = self.http(&op).await?;
        let path = self.snapshots.fs_dir(&fetched.snapshot).join(NAME);
        Ok((fetched, path))
    }
}

/// Unpacks a file if it is an archive, else reads it.
fn open(
    snapshots: &SnapshotStore,
    path: &Path,
    digest: Digest,
    time: Option<i64>,
    address: &str,
    limit: u64,
) -> Result<ContextFile, FetchError> {
    if !archive::is_archive(path)? {
        let text = read_text(path, address, limit)?;
        let empty = Fetched {
            revision: Revision::Bytes(digest),
            ..kept(snapshots, Digest::of(b"empty"), |_| Ok(None))?
        };
        return Ok(ContextFile::Text { text, empty, time });
    }
    let tree = kept(snapshots, digest, |active| archive::unpack(path, address, active))?;
    Ok(ContextFile::Tree(Fetched {
        time: time.or(tree.time),
        ..tree
    }))
}

/// Makes the snapshot of a context, anew each time: it costs no more than finding out its time.
fn kept(
    snapshots: &SnapshotStore,
    digest: Digest,
    fill: impl FnOnce(&snapshotter::ActiveSnapshot) -> Result<Option<i64>, FetchError>,
) -> Result<Fetched, FetchError> {
    let snapshot = snapshot_name("context", digest)?;
    let active = snapshots.prepare()?;
    let time = fill(&active)?;
    active.commit(&snapshot)?;
    Ok(Fetched {
        identity: digest,
        revision: Revision::Bytes(digest),
        snapshot,
        time,
    })
}

fn read_text(path: &Path, address: &str, limit: u64) -> Result<String, FetchError> {
    let length = fs::metadata(path).map_err(FetchError::io("stat", path))?.len();
    if length > limit {
        return Err(FetchError::TooLarge {
            address: address.to_owned(),
            limit,
        });
    }
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(FetchError::NotAnArchive(address.to_owned())),
        read => read.map_err(FetchError::io("read", path)),
    }
}
