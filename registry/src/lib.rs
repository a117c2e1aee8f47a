//! Bytes named by digest: OCI types, the content store, compression and the registry client.
//!
//! This crate knows nothing of directories, mounts or Dockerfiles. Bottom-up:
//!
//! - [`oci`]: the nouns of the image and distribution specifications, without I/O.
//! - [`content`]: the store of immutable blobs on disk.
//! - [`compress`]: deterministic gzip and zstd.
//! - [`auth`]: credentials and challenges.
//! - [`client`]: resolving, pulling and pushing.

#![forbid(unsafe_code)]

pub mod oci;
pub mod content;
pub mod compress;
mod text;
pub mod auth;
pub mod client;
