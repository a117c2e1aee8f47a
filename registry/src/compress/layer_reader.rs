//! A layer on its way from the content store to whoever unpacks it, verified on both sides.

use std::io::{self, Read};

use super::decoder;
use crate::content::{ContentError, ContentStore, DigestReader};
use crate::oci::{Descriptor, DiffId};

/// Gives a layer's uncompressed tar to `consume`, and returns what that returns with the layer's DiffID.
///
/// Whatever `consume` left unread is read, because both digests cover it. A damaged blob is reported as such
/// even if `consume` failed over it in its own way; only without damage is its error the one returned.
pub fn read_layer<T, E: From<ContentError>>(
    blobs: &ContentStore,
    layer: &Descriptor,
    consume: impl FnOnce(&mut dyn Read) -> Result<T, E>,
) -> Result<(T, DiffId), E> {
    let mut blob = blobs.open_blob(layer)?;
    let wrap = |error: io::Error| {
        let path = blobs.blob_path(layer.digest);
        error.downcast().unwrap_or_else(ContentError::io("decompress", path))
    };
    let consumed = match decoder(&mut blob) {
        Err(error) => Err(wrap(error).into()),
        Ok(tar) => {
            let mut tar = DigestReader::new(tar);
            consume(&mut tar).and_then(|value| {
                let measured = tar.finish().map_err(wrap)?;
                Ok((value, DiffId(measured.digest)))
            })
        }
    };
    match blob.finish() {
        Err(error) => match error.downcast::<ContentError>() {
            Ok(damage) => Err(damage.into()),
            Err(error) => consumed.and(Err(wrap(error).into())),
        },
        Ok(()) => consumed,
    }
}
