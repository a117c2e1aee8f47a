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
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::beside::reclaim;
use super::layout::{DockerImage, OCI_LAYOUT, blob_path, name_of};
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
    for directory in [dir, &sha256] {
        reclaim(directory).map_err(ExportError::io("list", directory))?;
    }
    for layer in &layout.layers {
        copy_blob(layer, blobs, &dir.join(blob_path(layer.digest)), cancel)?;
    }
    for document in &layout.documents {
        write(&dir.join(blob_path(document.descriptor.digest)), &document.bytes)?;
    }
    write(&dir.join("oci-layout"), OCI_LAYOUT)?;
    if let Some(images) = &layout.docker_images {
        let path = dir.join("manifest.json");
        let images = merge_docker(read_json(&path)?.unwrap_or_default(), images);
        write(&path, &serde_json::to_vec(&images).map_err(ExportError::Json)?)?;
    }
    let path = dir.join("index.json");
    let index = merge(read_json(&path)?, &layout.index);
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

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ExportError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| ExportError::NotOfALayout {
                path: path.to_owned(),
                source,
            }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ExportError::io("read", path)(error)),
    }
}

/// Puts the new images behind those that keep a name; there is one without a name at most.
fn merge_docker(mut images: Vec<DockerImage>, new: &[DockerImage]) -> Vec<DockerImage> {
    images.retain_mut(|old| {
        if old.repo_tags.is_empty() {
            return new.iter().all(|new| !new.repo_tags.is_empty());
        }
        let is_taken = |tag: &String| new.iter().any(|new| new.repo_tags.contains(tag));
        old.repo_tags.retain(|tag| !is_taken(tag));
        !old.repo_tags.is_empty()
    });
    images.extend_from_slice(new);
    images
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
