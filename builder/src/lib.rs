//! From a Dockerfile to an OCI image, without root and without a daemon.
//!
//! Modules are ordered bottom-up and may use only those above their own line here
//! (`tests/it/architecture.rs` checks it); `ARCHITECTURE.md` tells the path of a build through them.

pub mod sys;
pub mod diagnostic;
pub mod cancellation;
pub mod progress;
pub mod attributes;
pub mod state_dir;
pub mod rootless;
pub mod swap;
pub mod supervisor;
pub mod rung;
pub mod dockerfile;
pub mod remote;
pub mod op;
pub mod graph;
pub mod cache;
pub mod solver;
pub mod identity;
pub mod context;
pub mod copy;
pub mod executor;
pub mod secrets;
pub mod devices;
pub mod doctor;
pub mod image;
pub mod policy;
pub mod fetch;
pub mod frontend;
pub mod lint;
pub mod describe;
pub mod ops;
pub mod export;
pub mod remote_cache;
pub mod attest;
pub mod collect;
pub mod verify;
pub mod history;
pub mod build;
pub mod cli;
