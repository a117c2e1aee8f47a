//! The two ways in which snapshots depend on what the machine allows: who holds the owners of files, and who stacks.

use serde::{Deserialize, Serialize};

/// Who holds the owners, modes and devices that files have in the image.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ownership {
    /// The kernel: a file on disk has the owner that it has in the image.
    Real,
    /// The store: every file belongs to the one user there is, and what the image means is noted beside it.
    Emulated,
}

/// Who makes one tree of a chain of snapshots.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stacking {
    /// The kernel's overlay: nothing is copied, and the changes are what lies in the upper directory.
    Overlay,
    /// croze: the tree is laid out on disk, and the changes are what a scan of it finds.
    Flat,
}
