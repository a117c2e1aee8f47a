//! From a layer archive to a tree.
//!
//! The archive is a stranger's. Names are made harmless before anything else ([`path`]); directories are opened by
//! descriptors that cannot leave the tree ([`dirs`]); whatever already has an entry's name is removed first, never
//! written through or followed; and every change of owner, mode or time is made on the new file itself. Order of the
//! metadata: content, owner, mode, extended attributes, time, since each of the earlier ones undoes a later one.
//! Directories get their times at the end, when nothing is made in them any more.
//!
//! Within one archive the later entry wins, and whiteouts delete only what lower layers have
//! (image specification, `layer.md`), whichever comes first.

mod content;
mod dirs;
mod error;
mod hard_link;
mod path;
mod whiteout;
mod writer;

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::archive::{Archive, Limits};
use crate::root::Root;
pub use error::{UnpackCause, UnpackError};
use writer::Writer;

/// What an archive is unpacked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnpackMode {
    /// A layer into an empty directory of its own: whiteouts become overlay whiteouts.
    Upper,
    /// A layer into a mounted view of the layers below it: whiteouts delete.
    Merged,
    /// A user's archive (`ADD x.tar`) into any directory: names that start with `.wh.` are ordinary, and the
    /// directory itself keeps its owner, mode and time.
    Archive,
    /// As [`Archive`](Self::Archive), with one owner for everything (`ADD --chown`).
    ArchiveOwnedBy {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    },
}

impl UnpackMode {
    /// Returns whether the archive is no layer, so that no name in it has a meaning.
    fn is_plain(self) -> bool {
        matches!(self, Self::Archive | Self::ArchiveOwnedBy { .. })
    }
}

/// What was unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Number of entries.
    pub entries: u64,
    /// Bytes of file content, holes included.
    pub bytes: u64,
    /// Whether an [`Upper`](UnpackMode::Upper) tree cannot stand for the layer, because something in it depends on
    /// the layers below: a directory that has no entry of its own, a hard link to a file that is not in the layer,
    /// an opaque top directory. Where there are layers below, the caller throws the tree away and unpacks again in
    /// [`Merged`](UnpackMode::Merged) mode; where there are none, a link without a target fails then.
    pub needs_merged: bool,
    /// Number of device nodes left out, because a user namespace cannot make them.
    pub devices_skipped: u64,
    /// Number of extended attributes left out.
    pub xattrs_skipped: u64,
}

/// Unpacks an archive into a directory, and nowhere else.
///
/// The stream is read to its end, past the end of the archive, so that a reader which verifies it sees all of it.
/// After an error the tree holds a part of the archive and is to be thrown away.
pub fn unpack(tar: &mut dyn Read, into: &Root, mode: UnpackMode, limits: &Limits) -> Result<Unpacked, UnpackError> {
    let mut archive = Archive::new(tar, limits);
    let fail = |entry, name, cause| UnpackError { entry, name, cause };
    let mut writer = Writer::new(into, mode).map_err(|error| fail(1, Vec::new(), error.into()))?;
    loop {
        match archive.next() {
            Ok(Some(mut entry)) => {
                if let UnpackMode::ArchiveOwnedBy { uid, gid } = mode {
                    (entry.uid, entry.gid) = (uid, gid);
                }
                if let Err(cause) = writer.write(&entry, &mut archive) {
                    return Err(fail(archive.entries(), entry.path, cause));
                }
            }
            Ok(None) => break,
            Err(cause) => return Err(fail(archive.entries() + 1, Vec::new(), cause.into())),
        }
    }
    let (entries, bytes) = (archive.entries(), archive.unpacked());
    match writer.finish() {
        Ok(unpacked) => Ok(Unpacked {
            entries,
            bytes,
            ..unpacked
        }),
        Err(error) => Err(fail(entries, Vec::new(), error.into())),
    }
}

/// Returns bytes of an archive as a path, for messages.
fn display_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
