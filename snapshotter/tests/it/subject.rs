//! The unpacker that attacks are tried on: the crate's, or the naive one that shows that the attacks are real.

use std::io::Read;

use snapshotter::Root;
use snapshotter::layer::{self, Limits, UnpackError, UnpackMode, Unpacked};

use crate::naive;

/// The variable that chooses the naive unpacker.
pub(crate) const NAIVE: &str = "SNAPSHOTTER_TEST_NAIVE";

/// Unpacks as `layer::unpack` does, or as a beginner would.
pub(crate) fn unpack(
    tar: &mut dyn Read,
    into: &Root,
    mode: UnpackMode,
    limits: &Limits,
) -> Result<Unpacked, UnpackError> {
    if std::env::var_os(NAIVE).is_some() {
        return naive::unpack(tar, into, mode);
    }
    layer::unpack(tar, into, mode, limits)
}
