//! The same Dockerfiles, built by the binary in every stand-in for a pod and in every sandbox that works there, give
//! the same files: type, mode, owner, extended attributes and content.
//!
//! One test is one line of [`matrix`]. `testdata/pods` has the pods and what is built; `testdata/setup.sh` installs
//! runc, which runs them.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the other integration tests, which use more of it"
)]
#[path = "../it/harness/mod.rs"]
mod harness;

mod attacks;
mod files;
mod image;
mod kills;
mod manifest;
mod manifests;
mod matrix;
mod own_image;
mod pod;
mod pod_security;
mod runc;
mod workloads;
