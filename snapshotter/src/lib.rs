//! Directories, mounts and layer archives: snapshots on disk.
//!
//! A *snapshot* is the changes of one layer, kept as an overlay upper directory in `userxattr` form; a root file
//! system is an ordered list of snapshots. This crate keeps them ([`SnapshotStore`]), stacks them ([`Overlay`]),
//! and turns them into layer archives and back ([`layer`]). It knows neither digests nor registries: a layer is a
//! tar stream here.
//!
//! Everything that touches a tree somebody else filled goes through a [`Root`], a directory that nothing resolves
//! out of.
//!
//! Modules are listed bottom-up: each uses only those above it.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests make the trees that the crate is held to"
    )
)]

mod escape;
mod error;
mod attributes;
mod form;
mod inode_record;
pub mod xattr;
mod inodes;
mod whiteout;
mod root;
pub mod walk;
mod remove;
mod replica;
mod name;
mod special_owners;
mod store;
mod overlay;
mod stack;
mod duplicate;
pub mod layer;

pub use attributes::{Attributes, DirAttributes, Stat, Timestamp};
pub use duplicate::duplicate;
pub use error::FsError;
pub use escape::Escaped;
pub use form::{Ownership, Stacking};
pub use inode_record::{CAPABILITY_XATTR, InodeRecord, InvalidInodeRecord, is_device};
pub use inodes::Inodes;
pub use name::{InvalidSnapshotName, SnapshotName};
pub use overlay::{MAX_LOWER_DIRS, MountError, Overlay, Upper, attach};
pub use replica::ContentCopier;
pub use root::Root;
pub use rustix::fs::FileType;
pub use special_owners::{InvalidSpecialOwners, SpecialOwners, is_special};
pub use stack::{Evidence, StackError, Stacks, Tree, View, Workspace, Writes};
pub use store::{ActiveSnapshot, Keeper, SnapshotInfo, SnapshotStore, Usage, measure};
