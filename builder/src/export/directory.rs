//! A layout as a directory, into which several images can be exported one after the other.
//!
//! Blobs come first and `index.json` last, each by rename, so that a reader sees the old image or the new
//! one. A name that exports again replaces its entry; other names stay.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use registry::content::{ContentStore, VerifyReader};
use registry::oci::{Descriptor, Index};
use rustix::fs::{FlockOperation, flock};
use tokio_util::sync::CancellationToken;

use super::layout::{OCI_LAYOUT, blob_path, name_of};
use super::{ExportError, Layout, OutputFile};
use crate::cancellation::Cancellable;

/// Writes a layout into a directory, which is created if it is missing. Fails before the next piece of a blob once `cancel`
/// is cancelled.
pub fn write_directory(
    layout: &Layout<'_>,
    blobs: &ContentStore,
    dir: &Path,
    cancel: &CancellationToken,
) -> Result<(), ExportError> {
    let sha256 = dir.join("blobs/sha256");
    fs::create_dir_all(&sha256).map_err(ExportError::io("create", &sha256))?;
    let handle = File::open(dir).map_err(ExportError::io("open", dir))?;
    // Two exports into one directory must not lose each other's names.
    flock(&handle, FlockOperation::LockExclusive).map_err(|error| ExportError::io("lock", dir)(error.into()))?;
    for layer in &layout.layers {
        copy_blob(layer, blobs, &dir.join(blob_path(layer.digest)), cancel)?;
    }
    for document in &layout.documents {
        write(&dir.join(blob_path(document.descriptor.digest)), &document.bytes)?;
    }
    write(&dir.join("oci-layout"), OCI_LAYOUT)?;
    if let Some(manifest_json) = &layout.manifest_json {
        write(&dir.join("manifest.json"), manifest_json)?;
    }
    let path = dir.join("index.json");
    let index = merge(read_index(&path)?, &layout.index);
    write(&path, &serde_json::to_vec(&index).map_err(ExportError::Json)?)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ExportError> {
    let mut file = OutputFile::create(path)?;
    file.write_all(bytes).map_err(ExportError::io("write", path))?;
    file.commit()
}

/// Copies a blob unless it is there already, which is known by reading it.
fn copy_blob(
    blob: &Descriptor,
    blobs: &ContentStore,
    path: &Path,
    cancel: &CancellationToken,
) -> Result<(), ExportError> {
    if let Ok(present) = File::open(path)
        && VerifyReader::new(present, blob).finish().is_ok()
    {
        return Ok(());
    }
    let mut reader = blobs.open_blob(blob)?;
    let inner = OutputFile::create(path)?;
    let mut file = Cancellable { inner, cancel };
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = io::Read::read(&mut reader, &mut buffer).map_err(ExportError::read_blob(blob.digest))?;
        if read == 0 {
            return file.inner.commit();
        }
        file.write_all(&buffer[..read])
            .map_err(ExportError::io("write", path))?;
    }
}

fn read_index(path: &Path) -> Result<Option<Index>, ExportError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| ExportError::NotAnIndex {
                path: path.to_owned(),
                source,
            }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ExportError::io("read", path)(error)),
    }
}

/// Puts the new entries behind those that keep their names; there is one entry without a name at most.
fn merge(present: Option<Index>, new: &Index) -> Index {
    let Some(mut index) = present else {
        return new.clone();
    };
    let replaced = |old: &Descriptor| new.manifests.iter().any(|new| name_of(new) == name_of(old));
    index.manifests.retain(|old| !replaced(old));
    index.manifests.extend_from_slice(&new.manifests);
    index
}
