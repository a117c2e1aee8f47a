//! The store's directory: where a blob is, reading it, removing it, finding all.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::damaged::Damaged;
use super::{ContentError, DigestWriter, Ingest, Keeper, VerifyReader};
use crate::oci::{Descriptor, Digest};

/// A directory of blobs; a clone is the same directory.
#[derive(Clone, Debug)]
pub struct ContentStore {
    blobs: PathBuf,
    scratch: PathBuf,
    keeper: Option<Arc<dyn Keeper>>,
    damaged: Damaged,
}

/// A blob as [`ContentStore::walk`] finds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlobInfo {
    /// Its name.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// When it was written.
    pub modified: SystemTime,
}

impl ContentStore {
    /// Opens or creates a store that keeps its unfinished ingests in `<dir>/ingest/`.
    pub fn open(dir: &Path) -> Result<Self, ContentError> {
        Self::with_scratch(dir, &dir.join("ingest"))
    }

    /// Opens or creates a store that keeps its unfinished ingests in `scratch`, which must be a
    /// directory of the same file system.
    pub fn with_scratch(dir: &Path, scratch: &Path) -> Result<Self, ContentError> {
        let store = Self {
            blobs: dir.join("sha256"),
            scratch: scratch.to_owned(),
            keeper: None,
            damaged: Damaged::default(),
        };
        for dir in [&store.blobs, &store.scratch] {
            fs::create_dir_all(dir).map_err(ContentError::io("create", dir))?;
        }
        Ok(store)
    }

    /// Uses the store on behalf of somebody.
    #[must_use]
    pub fn kept_by(self, keeper: Arc<dyn Keeper>) -> Self {
        Self {
            keeper: Some(keeper),
            ..self
        }
    }

    /// Returns where a blob is, or would be.
    pub fn blob_path(&self, digest: Digest) -> PathBuf {
        let hex = digest.hex();
        self.blobs.join(&hex[..2]).join(hex)
    }

    /// Returns the size in bytes of a blob, `None` if it is not there.
    pub fn size(&self, digest: Digest) -> Result<Option<u64>, ContentError> {
        let path = self.blob_path(digest);
        self.keep(digest)?;
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ContentError::io("stat", path)(error)),
        }
    }

    /// Starts a write.
    pub fn ingest(&self) -> Result<Ingest, ContentError> {
        Ingest::start(self)
    }

    /// Stores bytes that are in memory. What is there already is read again: a damaged blob is replaced.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, ContentError> {
        let digest = Digest::of(bytes);
        match self.read(digest, bytes.len() as u64) {
            Ok(_) => return Ok(digest),
            Err(ContentError::Missing(_)) => {}
            Err(error @ ContentError::Io { .. }) => return Err(error),
            Err(_damage) => drop(self.remove(digest)?),
        }
        let mut ingest = self.ingest()?;
        ingest.write_all(bytes).map_err(|error| {
            error
                .downcast()
                .unwrap_or_else(ContentError::io("write", self.blob_path(digest)))
        })?;
        ingest.commit(Some(digest))?;
        Ok(digest)
    }

    /// Returns a whole, verified blob of at most `limit` bytes: a manifest or a config.
    pub fn read(&self, digest: Digest, limit: u64) -> Result<Vec<u8>, ContentError> {
        let path = self.blob_path(digest);
        let file = self.open_file(digest)?;
        let size = file.metadata().map_err(ContentError::io("stat", &path))?.len();
        if size > limit {
            return Err(ContentError::TooLarge { digest, size, limit });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        file.take(limit)
            .read_to_end(&mut bytes)
            .map_err(ContentError::io("read", &path))?;
        match Digest::of(&bytes) {
            found if found == digest => Ok(bytes),
            found => {
                self.damaged.note(digest);
                Err(ContentError::DigestMismatch {
                    expected: digest,
                    found,
                })
            }
        }
    }

    /// Reads a blob to its end and fails if its bytes do not have the digest that its name promises; returns whether it is
    /// there.
    pub fn verify(&self, digest: Digest) -> Result<bool, ContentError> {
        let file = match self.open_file(digest) {
            Err(ContentError::Missing(_)) => return Ok(false),
            opened => opened?,
        };
        let mut writer = DigestWriter::new(io::sink());
        io::copy(&mut &file, &mut writer).map_err(ContentError::io("read", self.blob_path(digest)))?;
        match writer.finish().1.digest {
            found if found == digest => Ok(true),
            found => {
                self.damaged.note(digest);
                Err(ContentError::DigestMismatch {
                    expected: digest,
                    found,
                })
            }
        }
    }

    /// Returns the blobs that were found damaged by whoever has read them through this store since the last call: they have
    /// another digest, or another size than their reader was told.
    pub fn take_damaged(&self) -> BTreeSet<Digest> {
        self.damaged.take()
    }

    /// Opens a blob for reading; the reader fails at its end if the bytes are not those described.
    pub fn open_blob(&self, descriptor: &Descriptor) -> Result<VerifyReader<File>, ContentError> {
        let reader = VerifyReader::new(self.open_file(descriptor.digest)?, descriptor);
        Ok(reader.reporting_to(self.damaged.clone()))
    }

    /// Removes a blob and tells whether it was there; readers that have it open are not disturbed.
    pub fn remove(&self, digest: Digest) -> Result<bool, ContentError> {
        let path = self.blob_path(digest);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(ContentError::io("remove", path)(error)),
        }
    }

    /// Visits every blob, in no order. Files that are not named like a blob are passed over, and so is
    /// what others add or remove meanwhile.
    pub fn walk(&self, visit: &mut dyn FnMut(BlobInfo)) -> Result<(), ContentError> {
        for fan in entries(&self.blobs)? {
            if !fan.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            for entry in entries(&fan.path())? {
                let name = entry.file_name();
                let digest = name.to_str().and_then(|hex| format!("sha256:{hex}").parse().ok());
                let (Some(digest), Ok(metadata)) = (digest, entry.metadata()) else {
                    continue;
                };
                visit(BlobInfo {
                    digest,
                    size: metadata.len(),
                    modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                });
            }
        }
        Ok(())
    }

    pub(crate) fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Tells the keeper that a blob is wanted.
    pub(super) fn keep(&self, digest: Digest) -> Result<(), ContentError> {
        match &self.keeper {
            Some(keeper) => keeper
                .keep(digest)
                .map_err(ContentError::io("keep", self.blob_path(digest))),
            None => Ok(()),
        }
    }

    /// Returns on whose behalf the store is used.
    pub(super) fn keeper(&self) -> Option<&dyn Keeper> {
        self.keeper.as_deref()
    }

    fn open_file(&self, digest: Digest) -> Result<File, ContentError> {
        let path = self.blob_path(digest);
        self.keep(digest)?;
        File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ContentError::Missing(digest),
            _ => ContentError::io("open", path)(error),
        })
    }
}

fn entries(dir: &Path) -> Result<Vec<fs::DirEntry>, ContentError> {
    fs::read_dir(dir)
        .and_then(Iterator::collect)
        .map_err(ContentError::io("list", dir))
}
