//! `croze login` and `croze logout`.

use clap::Args;

use super::RegistryArgs;

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
    /// How registries are reached.
    #[command(flatten)]
    pub reach: RegistryArgs,
}

/// `croze logout`.
#[derive(Args, Debug)]
pub struct LogoutArgs {
    /// The registry
    #[arg(value_name = "REGISTRY", default_value = "docker.io")]
    pub registry: String,
}
