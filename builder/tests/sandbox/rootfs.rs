//! The root file system of a process: in most sandboxes a stack of layers.

use std::path::PathBuf;

use builder::executor::Process;
use snapshotter::{Overlay, Tree, Upper};

/// The layers of a process's root file system.
pub(crate) fn overlay(process: &mut Process) -> &mut Overlay {
    match &mut process.rootfs {
        Tree::Overlay(overlay) => overlay,
        Tree::Directory(path) => panic!("`{}` is no overlay", path.display()),
    }
}

/// Where the changes of a process are: in what receives them, or among what was there before.
pub(crate) fn changed(process: &Process) -> PathBuf {
    match &process.rootfs {
        Tree::Overlay(_) => upper(process).dir.clone(),
        Tree::Directory(path) => path.clone(),
    }
}

/// What receives the changes of a process.
pub(crate) fn upper(process: &Process) -> &Upper {
    match &process.rootfs {
        Tree::Overlay(overlay) => overlay.upper.as_ref().unwrap(),
        Tree::Directory(path) => panic!("`{}` is no overlay", path.display()),
    }
}
