//! A layer that is packed while it is sent: its bytes are nowhere on this machine but in its snapshot.

use std::fmt;
use std::io::{self, Write};
use std::sync::OnceLock;

use registry::client::BlobMaker;
use registry::compress::LayerWriter;
use registry::content::Measured;
use registry::oci::{Descriptor, DiffId};
use snapshotter::SnapshotName;

use super::{LayerBlob, LayerError, LayerFormat, LayerPacker};

/// Packs a snapshot for somebody who sends the blob on, the same bytes as often as they are wanted.
pub struct LayerStream {
    packer: LayerPacker,
    snapshot: SnapshotName,
    format: LayerFormat,
    /// Known when the layer has been packed once.
    diff_id: OnceLock<DiffId>,
}

impl LayerStream {
    pub(super) fn new(packer: LayerPacker, snapshot: SnapshotName, format: LayerFormat) -> Self {
        Self {
            packer,
            snapshot,
            format,
            diff_id: OnceLock::new(),
        }
    }

    /// Notes what was sent, and returns it; `None` if nothing has been packed. Blocks.
    ///
    /// # Errors
    /// If the snapshot has become another layer than it was.
    pub fn sent(&self, blob: Measured) -> Result<Option<LayerBlob>, LayerError> {
        let Some(diff_id) = self.diff_id.get() else {
            return Ok(None);
        };
        let media_type = self.format.media_type();
        let blob = LayerBlob {
            descriptor: Descriptor::new(media_type, blob.digest, blob.size),
            diff_id: *diff_id,
        };
        self.packer.note(&self.snapshot, self.format, &blob)?;
        Ok(Some(blob))
    }
}

impl BlobMaker for LayerStream {
    fn make(&self, out: &mut dyn Write) -> io::Result<()> {
        fault::point("layer.stream")?;
        let mut layer = LayerWriter::new(out, self.format.compression, self.packer.threads)?;
        let packed = self.packer.pack(&self.snapshot, self.format, &mut layer);
        packed.map_err(io::Error::other)?;
        let (_, tar) = layer.finish()?;
        // The same every time: a snapshot does not change.
        let _known = self.diff_id.set(DiffId(tar.digest));
        Ok(())
    }
}

impl fmt::Debug for LayerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerStream")
            .field("snapshot", &self.snapshot)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}
