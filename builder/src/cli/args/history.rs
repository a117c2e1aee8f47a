//! The commands that look at past builds.

use clap::{Args, ValueEnum};

use super::Format;

/// `croze explain`.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// Which build.
    #[command(flatten)]
    pub build: WhichBuild,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `croze graph`.
#[derive(Args, Debug)]
pub struct GraphArgs {
    /// Which build.
    #[command(flatten)]
    pub build: WhichBuild,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    pub format: GraphFormat,
}

/// `croze logs`.
#[derive(Args, Debug)]
pub struct LogsArgs {
    /// Which build.
    #[command(flatten)]
    pub build: WhichBuild,
    /// Only of steps with this in their name, as in `RUN make`, byte for byte
    #[arg(long, value_name = "TEXT")]
    pub step: Option<String>,
}

/// Which build a command looks at.
#[derive(Args, Debug)]
pub struct WhichBuild {
    /// The beginning of a build's name, or a name of its image [default: the last build]
    #[arg(value_name = "BUILD")]
    pub name: Option<String>,
}

/// How a graph is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum GraphFormat {
    /// A line for each step.
    #[default]
    Text,
    /// For Graphviz.
    Dot,
    /// For mermaid.
    Mermaid,
    /// A drawing.
    Svg,
    /// For programs.
    Json,
}
