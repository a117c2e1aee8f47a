//! The command line as typed. What it means is decided in the command's own file.

mod cache;
mod history;
mod login;
mod registry;
mod store;

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::rung::Rung;

pub use cache::{CacheArgs, CacheCommand, CachePruneArgs};
pub use history::{ExplainArgs, GraphArgs, GraphFormat, LogsArgs, WhichBuild};
pub use login::{LoginArgs, LogoutArgs};
pub use registry::RegistryArgs;
pub use store::{BoundsArgs, PruneArgs, VerifyArgs};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Exit codes, shown under every `--help`.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  ok                     7  authentication or permission at a registry
  1  a bug in croze         8  integrity, or a bad image
  2  usage                  9  this machine lacks something: see `croze doctor`
  3  Dockerfile            10  disk, memory or file descriptors
  4  a RUN failed          11  a check failed, or `--plan` has misses
  5  an input is missing   12  a lock or a time-out
  6  registry or network   130/143  interrupted, terminated";

/// Builds OCI images from Dockerfiles: rootless, daemonless, one binary.
#[derive(Parser, Debug)]
#[command(name = "croze", version, styles = STYLES, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Args, Debug)]
pub struct GlobalArgs {
    /// State directory [default: $XDG_DATA_HOME/croze, else ~/.local/share/croze]
    #[arg(long, global = true, env = "CROZE_ROOT", value_name = "DIR", hide_env_values = true)]
    pub root: Option<PathBuf>,
    /// Say why the sandbox was chosen, and why none of the stronger
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: ColorChoice,
}

/// When to use colours; `auto` obeys `NO_COLOR` and `CLICOLOR_FORCE`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Build an image from a Dockerfile
    Build(Box<BuildArgs>),
    /// Say what this machine allows, and how to get what is missing
    Doctor(DoctorArgs),
    /// Say why each step of a build was in the cache or not
    Explain(ExplainArgs),
    /// Draw the steps of a build, coloured by what became of them and how long they took
    Graph(GraphArgs),
    /// List past builds
    History(FormatArgs),
    /// Print what the steps of a build have printed
    Logs(LogsArgs),
    /// Show how much the store holds
    Du(FormatArgs),
    /// Remove what the store need not keep
    Prune(PruneArgs),
    /// Look for damage in the store: exits 8 if there is any
    Verify(VerifyArgs),
    /// List or remove what a cache holds that machines share
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Remember credentials for a registry
    Login(LoginArgs),
    /// Forget credentials for a registry
    Logout(LogoutArgs),
    /// Print a completion script
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
}

/// Text for people, JSON for programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// A command whose only option is its format.
#[derive(Args, Debug)]
pub struct FormatArgs {
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `croze doctor`.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// Examine one way to confine RUN steps instead of all
    #[arg(long, value_enum, default_value_t, value_name = "NAME")]
    pub sandbox: SandboxArg,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `croze build`.
#[derive(Args, Debug)]
pub struct BuildArgs {
    /// What to build from: a directory, a git repository, the URL of an archive, or `-` for standard input
    #[arg(value_name = "CONTEXT", default_value = ".")]
    pub context: String,

    /// Dockerfile; a URL, or `-` for standard input [default: CONTEXT/Dockerfile]
    #[arg(short, long, value_name = "FILE", help_heading = "Input")]
    pub file: Option<String>,
    /// Set a build argument; without a value it is taken from the environment
    #[arg(long = "build-arg", value_name = "KEY[=VALUE]", help_heading = "Input")]
    pub build_args: Vec<String>,
    /// Another context: a directory, `docker-image://REF`, `oci-layout://DIR`, a git repository, or an archive's URL
    #[arg(long = "build-context", value_name = "NAME=VALUE", help_heading = "Input")]
    pub build_contexts: Vec<String>,
    /// Rules for what may be used, and what is used instead [file: $EXPERIMENTAL_BUILDKIT_SOURCE_POLICY]
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    pub source_policy_file: Option<PathBuf>,
    /// A secret for `RUN --mount=type=secret`
    #[arg(long = "secret", value_name = "id=ID[,src=FILE|,env=VAR]", help_heading = "Input")]
    pub secrets: Vec<String>,
    /// An agent for `RUN --mount=type=ssh`, or keys for one [socket: $SSH_AUTH_SOCK]
    #[arg(long, value_name = "default|ID[=SOCKET|KEY,…]", help_heading = "Input")]
    pub ssh: Vec<String>,
    /// Build this stage instead of the last
    #[arg(long, value_name = "STAGE", help_heading = "Input")]
    pub target: Option<String>,
    /// Build for these platforms [default: this machine's]
    #[arg(
        long = "platform",
        value_name = "OS/ARCH",
        value_delimiter = ',',
        help_heading = "Input"
    )]
    pub platforms: Vec<String>,
    /// Answer a question about the Dockerfile and build nothing: `check`, `outline` or `targets`, with
    /// `,format=json` for programs; `check` exits 11 if it has anything to say
    #[arg(
        long,
        value_name = "QUESTION[,format=FORMAT]",
        default_value = "build",
        help_heading = "Input"
    )]
    pub call: String,
    /// Look for what is odd in the Dockerfile: short for `--call=check`
    #[arg(long, conflicts_with = "call", help_heading = "Input")]
    pub check: bool,
    /// Refuse base images with a layer that holds more than this, unpacked [default: 1t]
    #[arg(long, value_name = "SIZE", help_heading = "Input")]
    pub max_layer_size: Option<String>,
    /// Refuse base images with a layer that unpacks to more than 1g and to more than this many times its blob, zeros aside
    /// [default: 200]
    #[arg(long, value_name = "TIMES", help_heading = "Input")]
    pub max_layer_ratio: Option<NonZeroU64>,
    /// Ask the registry for base images even if they are in the store under their tag
    #[arg(long, help_heading = "Input")]
    pub pull: bool,

    /// Name the image; may be repeated
    #[arg(short, long = "tag", value_name = "REF", help_heading = "Output")]
    pub tags: Vec<String>,
    /// Push the image to its tags' registries: short for `-o type=registry`
    #[arg(long, help_heading = "Output")]
    pub push: bool,
    /// Where the result goes: `type=registry|oci|docker|tar|local[,dest=…]`, a directory, or `-`
    #[arg(short, long = "output", value_name = "SPEC", help_heading = "Output")]
    pub outputs: Vec<String>,
    /// Add a label to the image
    #[arg(long = "label", value_name = "KEY=VALUE", help_heading = "Output")]
    pub labels: Vec<String>,
    /// Add an annotation to the manifest, or to `index:`
    #[arg(long = "annotation", value_name = "[TYPE:]KEY=VALUE", help_heading = "Output")]
    pub annotations: Vec<String>,
    /// Attest how the result was made (`type=provenance`) or what is in it (`type=sbom`) [default: nothing]
    #[arg(long = "attest", value_name = "type=TYPE[,KEY=VALUE…]", help_heading = "Output")]
    pub attests: Vec<String>,
    /// Attest how the result was made: `true`, `mode=min`, `mode=max`, …; short for `--attest type=provenance`
    #[arg(long, value_name = "BOOL|KEY=VALUE…", help_heading = "Output")]
    pub provenance: Option<String>,
    /// Attest what is in the result: `true`, `generator=IMAGE`, …; short for `--attest type=sbom`
    #[arg(long, value_name = "BOOL|KEY=VALUE…", help_heading = "Output")]
    pub sbom: Option<String>,
    /// Compress new layers with gzip, zstd or none, and how hard (`zstd:9`)
    #[arg(
        long,
        value_name = "ALGORITHM[:LEVEL]",
        default_value = "gzip",
        help_heading = "Output"
    )]
    pub compression: String,
    /// Write digests and names of the result as JSON
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub metadata_file: Option<PathBuf>,
    /// Write the image's id
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub iidfile: Option<PathBuf>,

    /// Look for results of other machines: a reference, `type=registry,ref=REF`, `type=local,src=DIR`,
    /// `type=s3,bucket=NAME,region=NAME`, or `type=gha`
    #[arg(long = "cache-from", value_name = "SPEC", help_heading = "Cache")]
    pub cache_from: Vec<String>,
    /// Bring results to other machines: `type=registry,ref=REF`, `type=local,dest=DIR`, `type=s3,…`, `type=gha` (all with
    /// `,mode=max` for those of every step, and `,mounts=true` for cache mounts), or `type=inline`
    #[arg(long = "cache-to", value_name = "SPEC", help_heading = "Cache")]
    pub cache_to: Vec<String>,
    /// Do not ask the cache
    #[arg(long, help_heading = "Cache")]
    pub no_cache: bool,
    /// Do not ask the cache for these stages
    #[arg(long, value_name = "STAGE", value_delimiter = ',', help_heading = "Cache")]
    pub no_cache_filter: Vec<String>,
    /// Begin with empty cache mounts; `--no-cache` alone leaves them as they are
    #[arg(long, help_heading = "Cache")]
    pub no_cache_mounts: bool,
    /// Print what would run and why, and run nothing; exits 11 if something would
    #[arg(long, help_heading = "Cache")]
    pub plan: bool,

    /// What bounds the store at the end.
    #[command(flatten)]
    pub bounds: BoundsArgs,
    /// Do not wait until the disk has the results: they are made again after a loss of power
    #[arg(long, help_heading = "Store")]
    pub no_sync: bool,

    /// Network of RUN steps that do not say `--network`
    #[arg(long, value_enum, default_value_t, help_heading = "Steps")]
    pub network: NetworkArg,
    /// Permit what needs consent: `network.host`, `security.insecure`, `device[=NAME]`, `buildx.local.delete`
    #[arg(long = "allow", value_name = "ENTITLEMENT", help_heading = "Steps")]
    pub allow: Vec<String>,
    /// Find devices for `RUN --device` here [default: /etc/cdi and /var/run/cdi]
    #[arg(long = "cdi-spec-dir", value_name = "DIR", help_heading = "Steps")]
    pub cdi_spec_dirs: Vec<PathBuf>,
    /// Add a line to /etc/hosts of RUN steps
    #[arg(long = "add-host", value_name = "HOST:IP", help_heading = "Steps")]
    pub add_hosts: Vec<String>,
    /// Size of /dev/shm in RUN steps, in bytes or with a unit [default: 64m]
    #[arg(long, value_name = "SIZE", help_heading = "Steps")]
    pub shm_size: Option<String>,
    /// Limit a resource of RUN steps, as in `nofile=1024:4096`; -1 is no limit
    #[arg(long = "ulimit", value_name = "NAME=SOFT[:HARD]", help_heading = "Steps")]
    pub ulimits: Vec<String>,
    /// How many steps run at once [default: all that are ready]
    #[arg(long, value_name = "N", help_heading = "Steps")]
    pub jobs: Option<NonZeroUsize>,
    /// How RUN steps are confined
    #[arg(long, value_enum, default_value_t, value_name = "NAME", help_heading = "Steps")]
    pub sandbox: SandboxArg,
    /// Exit with the code of the RUN that failed instead of 4
    #[arg(long = "exit-code", value_enum, value_name = "OF", help_heading = "Steps")]
    pub exit_code: Option<ExitCodeArg>,

    /// How registries are reached.
    #[command(flatten)]
    pub registry: RegistryArgs,

    /// How to show what happens
    #[arg(long, value_enum, default_value_t, env = "CROZE_PROGRESS", help_heading = "Display")]
    pub progress: ProgressArg,
    /// Print only the image's id
    #[arg(short, long, action = ArgAction::SetTrue, help_heading = "Display")]
    pub quiet: bool,
}

/// `--network`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum NetworkArg {
    /// The network that croze itself has.
    #[default]
    Default,
    /// Loopback only.
    None,
    /// The host's; needs `--allow network.host`.
    Host,
}

/// `--sandbox`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SandboxArg {
    /// The strongest that works here.
    #[default]
    Auto,
    /// This one or none.
    Only(Rung),
}

impl SandboxArg {
    /// Every value.
    const ALL: [Self; 1 + Rung::ALL.len()] = {
        let mut all = [Self::Auto; 1 + Rung::ALL.len()];
        let mut next = 0;
        while next < Rung::ALL.len() {
            all[1 + next] = Self::Only(Rung::ALL[next]);
            next += 1;
        }
        all
    };

    /// Returns the rung that is asked for; `None` for the strongest that works.
    pub fn rung(self) -> Option<Rung> {
        match self {
            Self::Auto => None,
            Self::Only(rung) => Some(rung),
        }
    }
}

impl ValueEnum for SandboxArg {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Auto => PossibleValue::new("auto").help("the strongest that works here"),
            Self::Only(rung) => PossibleValue::new(rung.name()).help(rung.summary()),
        })
    }
}

/// `--exit-code`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ExitCodeArg {
    /// The failed RUN's own.
    Run,
}

/// `--progress`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum ProgressArg {
    /// `github` and `gitlab` there, `tty` on a terminal, else `plain`.
    #[default]
    Auto,
    /// Bars and the last lines of each running step.
    Tty,
    /// One line for each event, as BuildKit prints them.
    Plain,
    /// Groups and annotations of GitHub Actions.
    Github,
    /// Sections of GitLab.
    Gitlab,
    /// Nothing but failures.
    Quiet,
    /// BuildKit's SolveStatus, one JSON object a line.
    Rawjson,
}
