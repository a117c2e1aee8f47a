//! The stack of layers in a process, which every process of these tests has.

use builder::executor::Process;
use snapshotter::{Overlay, Tree, Upper};

/// The layers of a process's root file system.
pub(crate) fn overlay(process: &mut Process) -> &mut Overlay {
    match &mut process.rootfs {
        Tree::Overlay(overlay) => overlay,
        Tree::Directory(path) => panic!("`{}` is no overlay", path.display()),
    }
}

/// What receives the changes of a process.
pub(crate) fn upper(process: &Process) -> &Upper {
    match &process.rootfs {
        Tree::Overlay(overlay) => overlay.upper.as_ref().unwrap(),
        Tree::Directory(path) => panic!("`{}` is no overlay", path.display()),
    }
}
