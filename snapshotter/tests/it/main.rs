//! What the crate does to real files, real mounts and the archives of strangers.
//!
//! The tests mount, so they need a user that may: root, or anybody inside `unshare --map-auto --map-root-user
//! --mount`. Without that they fail; none of them is skipped.

mod evil;
mod rerun;
mod tree;

mod archives;
mod attacks;
mod differential;
mod overlay;
mod pack;
mod roundtrip;
mod store;
mod unpack;
mod userns;
