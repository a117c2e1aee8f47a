//! A layout as a tar: equal images under equal names give equal bytes.

use std::io::{self, Read, Write};

use registry::content::ContentStore;

use super::layout::{OCI_LAYOUT, blob_path};
use super::{ExportError, Layout};

/// Writes a layout as a tar. Each layer is verified while it is copied.
///
/// Small files come first, so that a reader of a stream knows early what it will get.
pub fn write_archive(layout: &Layout<'_>, blobs: &ContentStore, out: &mut dyn Write) -> Result<(), ExportError> {
    let index = serde_json::to_vec(&layout.index).map_err(ExportError::Json)?;
    let mut archive = Archive {
        tar: tar::Builder::new(out),
    };
    archive.file("oci-layout", OCI_LAYOUT)?;
    archive.file("index.json", &index)?;
    if let Some(images) = &layout.docker_images {
        archive.file("manifest.json", &serde_json::to_vec(images).map_err(ExportError::Json)?)?;
    }
    archive.directory("blobs/")?;
    archive.directory("blobs/sha256/")?;
    for document in &layout.documents {
        archive.file(&blob_path(document.descriptor.digest), &document.bytes)?;
    }
    for layer in &layout.layers {
        let mut blob = BlobSource {
            reader: blobs.open_blob(layer)?,
            failed: None,
        };
        let header = header(tar::EntryType::Regular, layer.size);
        let written = archive.append(header, &blob_path(layer.digest), &mut blob);
        match blob.failed {
            Some(error) => return Err(ExportError::read_blob(layer.digest)(error)),
            None => written?,
        }
        // A blob that is too long shows only behind the bytes that were copied.
        blob.reader.finish().map_err(ExportError::read_blob(layer.digest))?;
    }
    archive.tar.finish().map_err(ExportError::Write)
}

struct Archive<'a> {
    tar: tar::Builder<&'a mut dyn Write>,
}

impl Archive<'_> {
    fn file(&mut self, path: &str, bytes: &[u8]) -> Result<(), ExportError> {
        self.append(header(tar::EntryType::Regular, bytes.len() as u64), path, bytes)
    }

    fn directory(&mut self, path: &str) -> Result<(), ExportError> {
        self.append(header(tar::EntryType::Directory, 0), path, io::empty())
    }

    fn append(&mut self, mut header: tar::Header, path: &str, content: impl Read) -> Result<(), ExportError> {
        self.tar
            .append_data(&mut header, path, content)
            .map_err(ExportError::Write)
    }
}

/// Root's, of 1970, readable by all.
fn header(kind: tar::EntryType, size: u64) -> tar::Header {
    // GNU's form because it holds sizes from 8 GiB without further records.
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(if kind.is_dir() { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

/// A blob that remembers its own failure, which would otherwise look like one of the archive.
struct BlobSource<R> {
    reader: R,
    failed: Option<io::Error>,
}

impl<R: Read> Read for BlobSource<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer).map_err(|error| {
            let kind = error.kind();
            self.failed = Some(error);
            kind.into()
        })
    }
}
