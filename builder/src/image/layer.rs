//! Layers of the build's own steps: from a snapshot's changes to a compressed blob, in one pass.
//!
//! A snapshot never changes and packing is deterministic, so the blob is made once; a small note beside
//! the snapshot says which blob it became. A blob that is gone, or was never kept because it went to a registry while it
//! was packed, is made again and has the same bytes. Another version of croze may compress in another way; then the layer
//! is the same and its blob is another one, and that is what is noted from then on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use registry::compress::{Compression, LayerIngest, decoder};
use registry::content::{ContentError, ContentStore};
use registry::oci::{Descriptor, DiffId, MediaType};
use serde::{Deserialize, Serialize};
use snapshotter::layer::{PackError, PackOptions, TreeForm, pack};
use snapshotter::{FsError, Root, SnapshotName, SnapshotStore};

use super::{BaseLayer, LayerStream};
use crate::state_dir::note;

/// The blob that a snapshot became.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LayerBlob {
    /// The compressed blob.
    pub descriptor: Descriptor,
    /// The digest of the uncompressed tar.
    pub diff_id: DiffId,
}

/// Makes blobs of snapshots.
#[derive(Clone)]
pub struct LayerPacker {
    content: ContentStore,
    snapshots: Arc<SnapshotStore>,
    records: PathBuf,
    scratch: PathBuf,
    pub(super) threads: usize,
}

/// What about a layer's bytes is for the user to choose.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LayerFormat {
    /// How the tar is compressed.
    pub compression: Compression,
    /// Latest mtime that a file may have, in seconds since 1970: `rewrite-timestamp`.
    pub clamp_mtime: Option<i64>,
}

/// What a tree was packed into.
#[derive(Serialize, Deserialize)]
struct Noted {
    /// The label of the format.
    label: String,
    blob: LayerBlob,
}

/// Why a snapshot could not become a blob.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The snapshot could not be read.
    #[error("cannot read the snapshot")]
    Snapshot(#[from] FsError),
    /// The archive could not be made or written.
    #[error("cannot pack the layer")]
    Pack(#[from] PackError),
    /// A base's layer could not be read or written anew.
    #[error("cannot compress a base's layer anew")]
    Recompress(#[source] io::Error),
    /// The blob could not be stored.
    #[error("cannot store the layer")]
    Store(#[from] ContentError),
    /// The snapshot was another layer when it was packed before: somebody or something has changed its files.
    #[error("the files of the snapshot `{snapshot}` are not those of its layer `{}`", expected.0)]
    Changed {
        /// The snapshot.
        snapshot: String,
        /// What it was.
        expected: DiffId,
    },
}

impl LayerPacker {
    /// Packs snapshots into `content` with `threads` compressing threads for each layer; `records` is the
    /// directory of the notes about what was packed before, `scratch` one of this process's own beside it.
    pub fn new(
        content: ContentStore,
        snapshots: Arc<SnapshotStore>,
        records: PathBuf,
        scratch: PathBuf,
        threads: usize,
    ) -> Self {
        Self {
            content,
            snapshots,
            records,
            scratch,
            threads,
        }
    }

    /// Returns the blob of a snapshot, made now unless it is there already. Blocks.
    ///
    /// # Errors
    /// If the snapshot cannot be read or the blob not be written.
    pub fn blob(&self, snapshot: &SnapshotName, format: LayerFormat) -> Result<LayerBlob, LayerError> {
        if let Some(known) = self.stored(snapshot, format)? {
            return Ok(known);
        }
        let mut ingest = LayerIngest::start(&self.content, format.compression, self.threads)?;
        self.pack(snapshot, format, &mut ingest)?;
        self.finish(ingest, snapshot, format)
    }

    /// Returns what packs a snapshot for somebody who sends the blob on, so that nothing of it stays here.
    pub fn stream(&self, snapshot: &SnapshotName, format: LayerFormat) -> LayerStream {
        LayerStream::new(self.clone(), snapshot.clone(), format)
    }

    /// Returns what a snapshot is known to become, whether or not the blob is in the store.
    pub fn noted(&self, snapshot: &SnapshotName, format: LayerFormat) -> Option<LayerBlob> {
        note::read(&self.path_of_note(snapshot, format))
    }

    pub(super) fn pack(
        &self,
        snapshot: &SnapshotName,
        format: LayerFormat,
        out: &mut impl io::Write,
    ) -> Result<(), LayerError> {
        let options = PackOptions {
            clamp_mtime: format.clamp_mtime,
        };
        pack(&self.snapshots.root(snapshot)?, TreeForm::OverlayUpper, &options, out)?;
        Ok(())
    }

    /// Returns the blob of a whole tree that is no snapshot: a cache mount. `note` is where it is noted what the tree was
    /// packed into; whoever changes the tree removes it. Blocks.
    ///
    /// # Errors
    /// If the tree cannot be read or the blob not be written.
    pub fn tree(&self, tree: &Root, note: &Path, format: LayerFormat) -> Result<LayerBlob, LayerError> {
        if let Some(Noted { label, blob }) = note::read(note)
            && label == format.label()
            && self.content.size(blob.descriptor.digest)? == Some(blob.descriptor.size)
        {
            return Ok(blob);
        }
        let mut ingest = LayerIngest::start(&self.content, format.compression, self.threads)?;
        pack(tree, TreeForm::Plain, &PackOptions::default(), &mut ingest)?;
        let made = ingest.commit()?;
        let blob = LayerBlob {
            descriptor: Descriptor::new(format.media_type(), made.digest, made.size),
            diff_id: made.diff_id,
        };
        let noted = Noted {
            label: format.label(),
            blob: blob.clone(),
        };
        let _packed_again = note::write(note, &self.scratch, &noted);
        Ok(blob)
    }

    /// Returns where the blobs are.
    pub fn content(&self) -> &ContentStore {
        &self.content
    }

    /// Returns a base's layer compressed anew, made now unless it is there already; its blob must be in the
    /// store. Blocks.
    ///
    /// # Errors
    /// If the blob cannot be read or the new one not be written.
    pub fn recompressed(&self, layer: &BaseLayer, format: LayerFormat) -> Result<LayerBlob, LayerError> {
        if let Some(known) = self.stored(&layer.snapshot, format)? {
            return Ok(known);
        }
        let mut blob = self.content.open_blob(&layer.descriptor)?;
        let mut ingest = LayerIngest::start(&self.content, format.compression, self.threads)?;
        let mut tar = decoder(&mut blob).map_err(LayerError::Recompress)?;
        io::copy(&mut tar, &mut ingest).map_err(LayerError::Recompress)?;
        self.finish(ingest, &layer.snapshot, format)
    }

    fn finish(
        &self,
        ingest: LayerIngest,
        snapshot: &SnapshotName,
        format: LayerFormat,
    ) -> Result<LayerBlob, LayerError> {
        let made = ingest.commit()?;
        let descriptor = Descriptor::new(format.media_type(), made.digest, made.size);
        let blob = LayerBlob {
            descriptor,
            diff_id: made.diff_id,
        };
        self.note(snapshot, format, &blob)?;
        Ok(blob)
    }

    /// Returns what is noted of a snapshot if its blob is in the store.
    fn stored(&self, snapshot: &SnapshotName, format: LayerFormat) -> Result<Option<LayerBlob>, ContentError> {
        let Some(known) = self.noted(snapshot, format) else {
            return Ok(None);
        };
        let stored = self.content.size(known.descriptor.digest)?;
        Ok((stored == Some(known.descriptor.size)).then_some(known))
    }

    /// Notes which blob a snapshot became. A note that cannot be written costs only time later.
    pub(super) fn note(
        &self,
        snapshot: &SnapshotName,
        format: LayerFormat,
        blob: &LayerBlob,
    ) -> Result<(), LayerError> {
        match self.noted(snapshot, format) {
            Some(before) if before.diff_id != blob.diff_id => Err(LayerError::Changed {
                snapshot: snapshot.to_string(),
                expected: before.diff_id,
            }),
            _ => {
                let _packed_again = note::write(&self.path_of_note(snapshot, format), &self.scratch, blob);
                Ok(())
            }
        }
    }

    fn path_of_note(&self, snapshot: &SnapshotName, format: LayerFormat) -> PathBuf {
        self.records.join(format!("{snapshot}.{}", format.label()))
    }
}

impl LayerFormat {
    pub(super) fn media_type(self) -> &'static str {
        match self.compression {
            Compression::None => MediaType::LAYER,
            Compression::Gzip { .. } => MediaType::LAYER_GZIP,
            Compression::Zstd { .. } => MediaType::LAYER_ZSTD,
        }
    }

    /// Returns the latest mtime of files in a format, by its label.
    pub fn clamp_of(label: &str) -> Option<i64> {
        label.split_once("-until-")?.1.parse().ok()
    }

    /// Returns what tells the blobs of one layer in several formats apart.
    pub fn label(self) -> String {
        let compression = match self.compression {
            Compression::None => "tar".to_owned(),
            Compression::Gzip { level } => format!("gzip-{level}"),
            Compression::Zstd { level } => format!("zstd-{level}"),
        };
        match self.clamp_mtime {
            None => compression,
            Some(seconds) => format!("{compression}-until-{seconds}"),
        }
    }
}
