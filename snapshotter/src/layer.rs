//! Layers as archives: [`pack`] turns a tree into a tar stream, [`unpack`] a tar stream into a tree.
//!
//! What a layer archive is, is said by the image specification (`layer.md`): a POSIX tar of the changed files, with
//! deletions as empty files whose names start with `.wh.`. The archive is the same whatever machine, user and file
//! system it is made on.

mod archive;
mod pack;
mod unpack;

pub use archive::{ArchiveError, Limits};
pub use pack::{PackError, PackOptions, PackSummary, TreeForm, pack, pack_beside};
pub use unpack::{UnpackCause, UnpackError, UnpackMode, Unpacked, unpack};

use crate::xattr;

/// Start of the name of a whiteout.
const WHITEOUT_PREFIX: &[u8] = b".wh.";

/// The whiteout that hides everything that lower layers have in its directory.
const OPAQUE_WHITEOUT: &[u8] = b".wh..wh..opq";

/// Size of the unit of a tar archive, in bytes.
const BLOCK: usize = 512;
