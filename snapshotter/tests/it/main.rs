//! What the crate does to real files, real mounts and the archives of strangers.
//!
//! The tests mount and make user namespaces with many ids, so they run as root. As anybody else they fail; none of
//! them is skipped.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(
    clippy::disallowed_methods,
    reason = "tests make trees, and look at them, as anybody does"
)]

mod evil;
mod naive;
mod rerun;
mod subject;
mod tree;

mod archives;
mod attacks;
mod differential;
mod disagreement;
mod emulated;
mod mutants;
mod mutation;
mod overlay;
mod pack;
mod roundtrip;
mod source;
mod stacks;
mod store;
mod unpack;
mod userns;
