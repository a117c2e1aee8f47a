//! How registries are reached, as typed: options of every command that talks to one.

use std::path::PathBuf;

use clap::Args;

/// How registries are reached.
#[derive(Args, Debug)]
#[command(next_help_heading = "Registry")]
pub struct RegistryArgs {
    /// Speak plain HTTP, or accept any certificate, with this registry
    #[arg(long = "insecure-registry", value_name = "HOST")]
    pub insecure_registries: Vec<String>,
    /// Trust the certificates in this PEM file; for one registry alone, as `*.crt` in `/etc/containers/certs.d/HOST`
    #[arg(long = "registry-ca", value_name = "FILE")]
    pub registry_cas: Vec<PathBuf>,
    /// Mirrors, other locations and blocked registries [default: Podman's and buildah's `registries.conf`]
    #[arg(long, value_name = "FILE")]
    pub registry_config: Option<PathBuf>,
    /// Pull from OTHER first what is in REGISTRY, or below a path in it
    #[arg(long = "registry-mirror", value_name = "REGISTRY=OTHER")]
    pub registry_mirrors: Vec<String>,
    /// Pull from OTHER only what is in REGISTRY, or below a path in it
    #[arg(long = "registry-map", value_name = "REGISTRY=OTHER")]
    pub registry_maps: Vec<String>,
    /// Tell passwords to this token service of a registry under another domain
    #[arg(long = "registry-realm", value_name = "HOST")]
    pub registry_realms: Vec<String>,
}
