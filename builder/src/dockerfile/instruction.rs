//! The syntax tree: instructions as written, before any variable is expanded.

use std::sync::Arc;

use crate::diagnostic::{SourceFile, Span, Spanned};

/// A parsed Dockerfile.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dockerfile {
    /// The text that the spans point into.
    pub source: Arc<SourceFile>,
    /// The `escape` character, a backslash or a backtick.
    pub escape: char,
    /// The `syntax` directive's value.
    pub syntax: Option<Spanned<String>>,
    /// The `check` directive's value, as written.
    pub check: Option<Spanned<String>>,
    /// Empty lines inside continued instructions, which BuildKit deprecates.
    pub empty_continuations: Vec<Span>,
    /// `ARG`s before the first `FROM`.
    pub globals: Vec<Instruction>,
    /// The stages in order; never empty.
    pub stages: Vec<Stage>,
}

/// A `FROM` and what follows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stage {
    /// The image or stage name after `FROM`, unexpanded.
    pub base: Spanned<String>,
    /// `AS name`, in lower case as BuildKit compares it.
    pub name: Option<Spanned<String>>,
    /// `--platform`, unexpanded.
    pub platform: Option<Spanned<String>>,
    /// The whole `FROM` instruction.
    pub span: Span,
    /// `FROM … AS …` as written, for messages and lints.
    pub original: String,
    /// What a comment above says about the stage's name, for `--call=outline` and `targets`.
    pub comment: Option<String>,
    /// Comments above, one a line, without `#`.
    pub comments: Vec<String>,
    /// The instructions.
    pub instructions: Vec<Instruction>,
}

/// One instruction with its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instruction {
    /// What it says.
    pub kind: InstructionKind,
    /// From its first to its last byte, heredocs included.
    pub span: Span,
    /// The keyword as written (`RUN`, `run`).
    pub keyword: Spanned<String>,
    /// The text with continuations joined, without heredoc bodies.
    pub original: String,
    /// Comments directly above, one a line, without `#`.
    pub comments: Vec<String>,
}

/// What an instruction says. Strings are unexpanded; quotes and escapes are still in them wherever
/// variables are substituted later, because the substitution removes them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InstructionKind {
    /// `RUN`.
    Run {
        /// The command.
        command: CommandForm,
        /// `--mount`s in order.
        mounts: Vec<RunMount>,
        /// `--network`.
        network: Option<Spanned<String>>,
        /// `--security`.
        security: Option<Spanned<String>>,
        /// `--device`s.
        devices: Vec<RunDevice>,
    },
    /// `CMD`.
    Cmd(CommandForm),
    /// `ENTRYPOINT`.
    Entrypoint(CommandForm),
    /// `LABEL`.
    Label(Vec<KeyValue>),
    /// `MAINTAINER`.
    Maintainer(Spanned<String>),
    /// `EXPOSE`.
    Expose(Vec<Spanned<String>>),
    /// `ENV`.
    Env(Vec<KeyValue>),
    /// `ADD`.
    Add(AddOptions),
    /// `COPY`.
    Copy(CopyOptions),
    /// `VOLUME`.
    Volume(Vec<Spanned<String>>),
    /// `USER`.
    User(Spanned<String>),
    /// `WORKDIR`.
    Workdir(Spanned<String>),
    /// `ARG`.
    Arg(Vec<ArgDefinition>),
    /// `ONBUILD`: the trigger as written and as parsed.
    Onbuild {
        /// The text that goes into the image config.
        expression: Spanned<String>,
        /// What it will do.
        trigger: Box<Instruction>,
    },
    /// `STOPSIGNAL`.
    StopSignal(Spanned<String>),
    /// `HEALTHCHECK`. Times are nanoseconds; zero is Docker's default.
    Healthcheck {
        /// The test.
        test: HealthcheckTest,
        /// `--interval`.
        interval: u64,
        /// `--timeout`.
        timeout: u64,
        /// `--start-period`.
        start_period: u64,
        /// `--start-interval`.
        start_interval: u64,
        /// `--retries`.
        retries: u64,
    },
    /// `SHELL`.
    Shell(Vec<String>),
}

/// A `--device` of `RUN`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunDevice {
    /// As written.
    pub written: Spanned<String>,
    /// The device's CDI name: `vendor/class=name`, of which `=name` may be missing.
    pub name: String,
    /// Whether its absence is an error.
    pub required: bool,
}

/// The two forms of a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CommandForm {
    /// `["program", "argument"]`.
    Exec(Vec<String>),
    /// A line for the shell, heredoc bodies apart.
    Shell {
        /// The line, continuations joined.
        line: Spanned<String>,
        /// Heredocs that the line opens, in order.
        heredocs: Vec<Heredoc>,
    },
}

/// A heredoc.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heredoc {
    /// The delimiter word, unquoted: the file's name in `COPY` and `ADD`.
    pub name: String,
    /// Whether variables are expanded in the body: the word was not quoted.
    pub expand: bool,
    /// Whether leading tabs were stripped: `<<-`. `body` is already stripped.
    pub chomp: bool,
    /// The file descriptor before `<<`, 0 if none.
    pub fd: u32,
    /// The lines up to the terminator.
    pub body: String,
    /// The operator and word (`<<-EOF`) as written.
    pub opener: String,
    /// Where the body stands.
    pub span: Span,
}

/// `KEY=value` of `ENV` and `LABEL`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyValue {
    /// The key, unexpanded.
    pub key: Spanned<String>,
    /// The value, unexpanded, with its quotes.
    pub value: Spanned<String>,
    /// Whether it was written in the old form `KEY value`.
    pub legacy: bool,
}

/// `NAME[=default]` of `ARG`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArgDefinition {
    /// The name.
    pub name: Spanned<String>,
    /// The default, unexpanded; `None` without `=`.
    pub default: Option<Spanned<String>>,
}

/// A source of `COPY` or `ADD`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FileSource {
    /// A path, wildcard, URL or git reference, unexpanded.
    Path(Spanned<String>),
    /// A file given in the Dockerfile itself.
    Heredoc(Heredoc),
}

/// `COPY`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CopyOptions {
    /// Sources; at least one.
    pub sources: Vec<FileSource>,
    /// Destination, unexpanded.
    pub destination: Spanned<String>,
    /// `--from`; never expanded.
    pub from: Option<Spanned<String>>,
    /// `--chown`, unexpanded.
    pub chown: Option<Spanned<String>>,
    /// `--chmod`, unexpanded.
    pub chmod: Option<Spanned<String>>,
    /// `--link`.
    pub link: bool,
    /// `--parents`.
    pub parents: bool,
    /// `--exclude`s.
    pub exclude: Vec<Spanned<String>>,
}

/// `ADD`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddOptions {
    /// Sources; at least one.
    pub sources: Vec<FileSource>,
    /// Destination, unexpanded.
    pub destination: Spanned<String>,
    /// `--chown`, unexpanded.
    pub chown: Option<Spanned<String>>,
    /// `--chmod`, unexpanded.
    pub chmod: Option<Spanned<String>>,
    /// `--link`.
    pub link: bool,
    /// `--checksum`, unexpanded.
    pub checksum: Option<Spanned<String>>,
    /// `--unpack`; `None` for the default of each source.
    pub unpack: Option<bool>,
    /// `--keep-git-dir`; `None` for the default.
    pub keep_git_dir: Option<bool>,
    /// `--exclude`s.
    pub exclude: Vec<Spanned<String>>,
}

/// `RUN --mount`: options as written. Values may hold variables, even that of `type`; `resolve` replaces them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunMount {
    /// The whole flag.
    pub span: Span,
    /// The options in order, `type` among them; all names are known, and fit the type if that is written out.
    pub options: Vec<MountOption>,
}

/// A type of mount.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MountKind {
    /// Files of another stage, image or context.
    Bind,
    /// A directory that outlives the build.
    Cache,
    /// Memory.
    Tmpfs,
    /// A secret file or variable.
    Secret,
    /// An SSH agent's socket.
    Ssh,
}

/// One option of a mount, under its canonical name (`target`, not `dst`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MountOption {
    /// Which option.
    pub key: MountKey,
    /// The value, unexpanded; `None` for a bare `readonly`, `readwrite` or `required`.
    pub value: Option<Spanned<String>>,
    /// The whole option.
    pub span: Span,
}

/// The options of mounts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "each is the option of its name")]
pub enum MountKey {
    Type,
    From,
    Source,
    Target,
    Readonly,
    Readwrite,
    Id,
    Sharing,
    Required,
    Size,
    Mode,
    Uid,
    Gid,
    Env,
}

/// How builds share a cache mount.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sharing {
    /// Many writers at once.
    #[default]
    Shared,
    /// A new directory for a second writer.
    Private,
    /// A second writer waits.
    Locked,
}

/// `HEALTHCHECK`'s test.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HealthcheckTest {
    /// `NONE`.
    None,
    /// `CMD …`.
    Cmd(CommandForm),
}
