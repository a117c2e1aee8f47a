//! The registry client against registries: Debian's own, one that fails as scripted, and another client.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod docker_registry;
mod fault_registry;
mod faults;
mod fixtures;
mod origins;

mod against_docker_registry;
mod credentials;
mod credential_helpers;
mod http2;
mod mirrors;
mod one_in_ten;
mod peer;
mod proxies;
mod pulling;
mod pushing;
mod pushing_manifests;
mod referrers;
mod retrying;
mod rows;
mod streaming;
mod strangers;
mod tags;
