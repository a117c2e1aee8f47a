//! The options that say how much the store may hold, `croze prune` and `croze verify`.

use clap::Args;

use super::Format;

/// What bounds the store.
#[derive(Args, Debug)]
pub struct BoundsArgs {
    /// Remove what was used the longest ago while the store is larger [default of builds: $CROZE_MAX_SIZE,
    /// else 64g or half of the file system]
    #[arg(long, value_name = "SIZE", help_heading = "Store")]
    pub max_size: Option<String>,
    /// Remove what was used the longest ago while less is free; builds also leave as much when they unpack a layer beyond
    /// 1g [default of builds: $CROZE_MIN_FREE, else 2g or a fiftieth of the file system]
    #[arg(long, value_name = "SIZE", help_heading = "Store")]
    pub min_free: Option<String>,
    /// Keep what was used so recently all the same (`36h`, `7d`) [default of builds: $CROZE_KEEP]
    #[arg(long, value_name = "AGE", help_heading = "Store")]
    pub keep: Option<String>,
}

/// `croze prune`.
#[derive(Args, Debug)]
pub struct PruneArgs {
    /// Remove everything: images that have a tag as well
    #[arg(short, long)]
    pub all: bool,
    /// Remove only what has not been used for this long (`36h`, `7d`)
    #[arg(long, value_name = "AGE")]
    pub older_than: Option<String>,
    /// Remove only things of this type (as `du --format json` names them), or those older than an age; may be repeated
    #[arg(long = "filter", value_name = "type=TYPE|until=AGE")]
    pub filters: Vec<String>,
    /// Only say what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Stop when the store is within these.
    #[command(flatten)]
    pub bounds: BoundsArgs,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `croze verify`.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// Remove what is wrong, so that the next build makes it again
    #[arg(long)]
    pub repair: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}
