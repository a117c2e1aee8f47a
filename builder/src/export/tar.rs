//! The root file system as a tar.

use std::io::Write;

use registry::oci::Platform;
use snapshotter::Root;
use snapshotter::layer::{PackOptions, PackSummary, TreeForm, pack};

use super::ExportError;

/// Writes a mounted root file system as a tar, without whiteouts and with its owners.
///
/// For several platforms, `tree` is a directory in which each one's file system is mounted under its
/// [`platform_directory`].
pub fn write_tar(tree: &Root, clamp_mtime: Option<i64>, out: &mut dyn Write) -> Result<PackSummary, ExportError> {
    Ok(pack(tree, TreeForm::Plain, &PackOptions { clamp_mtime }, out)?)
}

/// Returns the directory that holds a platform's files where several are exported: `linux_arm_v7`.
pub fn platform_directory(platform: &Platform) -> String {
    platform.to_string().replace('/', "_")
}
