//! `croze login` and `croze logout`.

use std::path::PathBuf;

use clap::Args;

/// `croze login`.
#[derive(Args, Debug)]
pub struct LoginArgs {
    /// The registry
    #[arg(value_name = "REGISTRY", default_value = "docker.io")]
    pub registry: String,
    /// User name
    #[arg(short, long)]
    pub username: String,
    /// Read the password from standard input (the only way: arguments are visible to others)
    #[arg(long, required = true)]
    pub password_stdin: bool,
    /// Speak plain HTTP, or accept any certificate, with this registry
    #[arg(long = "insecure-registry", value_name = "HOST")]
    pub insecure_registries: Vec<String>,
    /// Trust the certificates in this PEM file
    #[arg(long = "registry-ca", value_name = "FILE")]
    pub registry_cas: Vec<PathBuf>,
}

/// `croze logout`.
#[derive(Args, Debug)]
pub struct LogoutArgs {
    /// The registry
    #[arg(value_name = "REGISTRY", default_value = "docker.io")]
    pub registry: String,
}
