//! One write into the store, from the first byte to the rename.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;

use tempfile::TempPath;

use super::{ContentError, ContentStore, DigestWriter};
use crate::oci::Digest;

/// A blob being written: invisible until [`commit`](Self::commit), removed when dropped before.
///
/// Every write is a system call; wrap it in a `BufWriter` for small ones.
#[must_use = "dropping an ingest throws its bytes away"]
pub struct Ingest {
    store: ContentStore,
    file: DigestWriter<File>,
    path: TempPath,
}

impl Ingest {
    pub(super) fn start(store: &ContentStore) -> Result<Self, ContentError> {
        let create = || {
            fault::point("blob.create")?;
            let mut options = File::options();
            options.write(true).create_new(true).mode(0o400);
            tempfile::Builder::new()
                .prefix("ingest-")
                .make_in(store.scratch(), |path| options.open(path))
        };
        let created = create().map_err(ContentError::io("create a file in", store.scratch()))?;
        // Apart, because errors of the two together are no error numbers any more.
        let (file, path) = created.into_parts();
        Ok(Self {
            store: store.clone(),
            file: DigestWriter::new(file),
            path,
        })
    }

    /// Returns how many bytes have been written so far.
    pub fn size(&self) -> u64 {
        self.file.size()
    }

    /// Publishes the bytes under their digest and returns it with their number.
    ///
    /// Bytes that do not have the `expected` digest are thrown away. A blob that exists already is
    /// success: somebody else was faster.
    pub fn commit(self, expected: Option<Digest>) -> Result<(Digest, u64), ContentError> {
        let (_, measured) = self.file.finish();
        match expected {
            Some(expected) if expected != measured.digest => {
                return Err(ContentError::DigestMismatch {
                    expected,
                    found: measured.digest,
                });
            }
            _ => {}
        }
        // Another size under this name is what a power cut leaves of a blob; the rename mends it.
        if self.store.size(measured.digest)? != Some(measured.size) {
            self.store.publish(self.path, measured.digest)?;
            if let Some(keeper) = self.store.keeper() {
                keeper.published(measured.digest);
            }
        }
        Ok((measured.digest, measured.size))
    }
}

impl Write for Ingest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let at = self.store.scratch();
        fault::point("blob.write")
            .and_then(|()| self.file.write(bytes))
            .map_err(|error| ContentError::io("write a file in", at)(error).into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ContentStore {
    fn publish(&self, file: TempPath, digest: Digest) -> Result<(), ContentError> {
        let (path, mut file) = (self.blob_path(digest), file);
        fault::point("blob.rename").map_err(ContentError::io("rename a file to", &path))?;
        loop {
            match file.persist(&path) {
                Ok(_) => return fault::point("blob.renamed").map_err(ContentError::io("rename a file to", path)),
                // The first blob with these two digits, or the directory was empty and somebody removed it.
                Err(error) if error.error.kind() == io::ErrorKind::NotFound => file = error.path,
                Err(error) => return Err(ContentError::io("rename a file to", path)(error.error)),
            }
            let parent = path.parent().unwrap_or(&path);
            std::fs::create_dir_all(parent).map_err(ContentError::io("create", parent))?;
        }
    }
}
