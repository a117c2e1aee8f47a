//! Directories, mounts and layer archives: snapshots on disk.
