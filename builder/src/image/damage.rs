//! What a snapshot should have been: by packing it again, and by unpacking its blob again.

use std::io;

use registry::content::{ContentStore, DigestWriter};
use registry::oci::DiffId;
use snapshotter::layer::{PackOptions, TreeForm, UnpackMode, pack};
use snapshotter::{Root, SnapshotName, SnapshotStore};

use super::growth::Allowance;
use super::transfer::unpack_checked;
use super::{LayerBlob, LayerError, PullError};

/// Packs a snapshot for nobody, and returns the digest of the archive; no file in it is newer than `clamp_mtime`. Blocks.
///
/// # Errors
/// If it cannot be read.
pub fn packed(snapshots: &SnapshotStore, name: &SnapshotName, clamp_mtime: Option<i64>) -> Result<DiffId, LayerError> {
    pack_tree(&snapshots.root(name)?, clamp_mtime)
}

/// Unpacks a blob, throws the files away, and returns the digest that [`packed`] gives of them; `None` if the layer leans on
/// those below it, so that its snapshot has other files. Blocks.
///
/// # Errors
/// If the blob is not what it should be, or there is no space.
pub fn packed_from(
    content: &ContentStore,
    snapshots: &SnapshotStore,
    layer: &LayerBlob,
) -> Result<Option<DiffId>, DamageError> {
    let scratch = snapshots.prepare().map_err(PullError::from)?;
    let root = scratch.root().map_err(PullError::from)?;
    let blob = content.open_blob(&layer.descriptor).map_err(PullError::from)?;
    let leans = unpack_checked(blob, &root, UnpackMode::Upper, layer, &Allowance::known())?;
    match leans {
        true => Ok(None),
        false => Ok(Some(pack_tree(&root, None)?)),
    }
}

/// Why it could not be found out what a snapshot should be.
#[derive(Debug, thiserror::Error)]
pub enum DamageError {
    /// The blob could not be unpacked.
    #[error(transparent)]
    Unpack(#[from] PullError),
    /// What was unpacked could not be packed.
    #[error(transparent)]
    Pack(#[from] LayerError),
}

fn pack_tree(tree: &Root, clamp_mtime: Option<i64>) -> Result<DiffId, LayerError> {
    let mut writer = DigestWriter::new(io::sink());
    pack(tree, TreeForm::OverlayUpper, &PackOptions { clamp_mtime }, &mut writer)?;
    Ok(DiffId(writer.finish().1.digest))
}
