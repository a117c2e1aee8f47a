//! `croze cache` as typed.

use clap::{Args, Subcommand};

use super::{Format, RegistryArgs};

/// `croze cache`.
#[derive(Subcommand, Debug)]
pub enum CacheCommand {
    /// List the entries
    Ls(CacheArgs),
    /// Remove entries
    Prune(CachePruneArgs),
}

/// A cache that machines share.
#[derive(Args, Debug)]
pub struct CacheArgs {
    /// The cache: a reference, a directory (`./DIR`), or as in `--cache-from`
    #[arg(value_name = "CACHE")]
    pub cache: String,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// How registries are reached.
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// `croze cache prune`.
#[derive(Args, Debug)]
pub struct CachePruneArgs {
    /// Which cache, and how to reach it.
    #[command(flatten)]
    pub cache: CacheArgs,
    /// Remove only what was made this long ago (`36h`, `7d`), and what is damaged [default: everything]
    #[arg(long, value_name = "AGE")]
    pub older_than: Option<String>,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
}
