//! From a Dockerfile to an OCI image, without root and without a daemon.
//!
//! Modules are ordered bottom-up and may use only those above their own line here
//! (`tests/layering.rs` checks it); `ARCHITECTURE.md` tells the path of a build through them.

pub mod sys;
pub mod diagnostic;
pub mod rootless;
pub mod progress;
pub mod dockerfile;
pub mod op;
pub mod executor;
pub mod doctor;
