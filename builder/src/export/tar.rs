//! The root file system as a tar.

use std::io::Write;

use registry::oci::Platform;
use snapshotter::Root;
use snapshotter::layer::{PackOptions, PackSummary, TreeForm, pack, pack_beside};

use super::ExportError;

/// Writes a root file system as a tar, without whiteouts and with its owners.
pub fn write_tar(tree: &Root, clamp_mtime: Option<i64>, out: &mut dyn Write) -> Result<PackSummary, ExportError> {
    Ok(pack(tree, TreeForm::Plain, &PackOptions { clamp_mtime }, out)?)
}

/// Writes the root file systems of several platforms as one tar, each in its [`platform_directory`].
pub fn write_tars(
    mut trees: Vec<(&str, &Root)>,
    clamp_mtime: Option<i64>,
    out: &mut dyn Write,
) -> Result<PackSummary, ExportError> {
    trees.sort_unstable_by_key(|(directory, _)| *directory);
    Ok(pack_beside(&trees, &PackOptions { clamp_mtime }, out)?)
}

/// Returns the directory that holds a platform's files where several are exported: `linux_arm_v7`.
pub fn platform_directory(platform: &Platform) -> String {
    platform.to_string().replace('/', "_")
}
