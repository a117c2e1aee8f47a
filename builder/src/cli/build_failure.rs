//! From what went wrong in a build to what is said and which code is returned.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::args::ExitCodeArg;
use super::failure::{Failure, Kind, Shortage, out_of, resource_or};
use super::pointer;
use super::policy;
use super::store::state_failure;
use crate::build::{BuildError, BuildRequest, CacheExportError, ShipError};
use crate::context::SelectError;
use crate::copy::CopyError;
use crate::devices::DeviceError;
use crate::diagnostic::{Diagnostic, SourceFile, Span};
use crate::executor::{RunError, SetupError};
use crate::export::ExportError;
use crate::fetch::FetchError;
use crate::identity::IdentityError;
use crate::image::{GrowthError, LayerError, PullError};
use crate::ops::OpError;
use crate::progress::Recorder;
use crate::remote_cache::RemoteCacheError;
use snapshotter::layer::PackError;

/// The shell that runs what is not written as JSON.
const SHELL: &str = "/bin/sh";
/// Lines of a failed step's log that are shown.
const TAIL: usize = 20;

/// What is the same for every failure of one build.
pub(super) struct Fixed {
    /// The Dockerfile that messages point into.
    pub dockerfile: Arc<SourceFile>,
    /// The ignore file of the context, if it has one.
    pub(super) ignore: Option<Arc<SourceFile>>,
    /// Whose exit code to return when a `RUN` fails.
    pub exit_code: Option<ExitCodeArg>,
    /// Why there is no sandbox, where there is none.
    pub(super) no_sandbox: Option<Failure>,
}

impl Fixed {
    /// Takes what is the same from a request.
    pub(super) fn of(request: &BuildRequest, exit_code: Option<ExitCodeArg>) -> Self {
        let context = request.directories.get("context");
        Self {
            dockerfile: Arc::clone(&request.dockerfile),
            ignore: context.and_then(|context| context.ignore.clone()),
            exit_code,
            no_sandbox: None,
        }
    }

    /// Takes what there is to say if a step needs a sandbox and there is none.
    pub(super) fn without_sandbox(self, no_sandbox: Option<Failure>) -> Self {
        Self { no_sandbox, ..self }
    }

    /// Says what went wrong; `recorder` has the logs, if anything ran.
    pub(super) fn failure(&self, error: BuildError, recorder: Option<&Recorder>) -> Failure {
        match error {
            BuildError::Dockerfile(diagnostics) => {
                let in_file = |d: Diagnostic| {
                    if d.source.is_none() {
                        d.in_file(&self.dockerfile)
                    } else {
                        d
                    }
                };
                Failure {
                    kind: Kind::Dockerfile,
                    diagnostics: diagnostics.into_iter().map(in_file).collect(),
                    tail: None,
                }
            }
            BuildError::Lint(violation) => Failure::new(Kind::Check, *violation),
            BuildError::IgnoreFile(diagnostics) => Failure {
                kind: Kind::Dockerfile,
                diagnostics,
                tail: None,
            },
            BuildError::Image { origin, near, source } => {
                let failure = self.at(origin, pull_failure(&source));
                match near {
                    Some(near) => failure.help(format!("did you mean `{near}`, which the build knows?")),
                    None => failure,
                }
            }
            BuildError::Policy { origin, source } => self.at(origin, policy::refused(&source)),
            BuildError::Epoch { origin, source } => {
                let mut failure = self.at(origin, fetch_failure(&source));
                for diagnostic in &mut failure.diagnostics {
                    diagnostic
                        .notes
                        .push("`SOURCE_DATE_EPOCH` takes the time of the image from it".to_owned());
                }
                failure
            }
            BuildError::Step {
                name,
                origin,
                step,
                source,
            } => {
                let origin = origin.map(|span| self.word(span, &source));
                let mut failure = self.at(origin, self.step_failure(&source));
                if let (
                    OpError::Exit { .. } | OpError::NoSpace { .. } | OpError::Exec { .. },
                    Some(recorder),
                    Some(step),
                ) = (&*source, recorder, step)
                {
                    let mut tail = recorder.tail(step);
                    tail.step = name;
                    tail.lines.drain(..tail.lines.len().saturating_sub(TAIL));
                    failure.tail = Some(tail);
                }
                failure
            }
            BuildError::State(error) => state_failure(error),
            BuildError::Pull(error) => pull_failure(&error),
            BuildError::Push { reference, source } => {
                let failure = Failure::of_client(&source);
                let diagnostics = failure.diagnostics.into_iter().map(|d| Diagnostic {
                    message: format!("cannot push `{reference}`: {}", d.message),
                    ..d
                });
                Failure {
                    diagnostics: diagnostics.collect(),
                    ..failure
                }
            }
            BuildError::Layer(error) => match &*error {
                ShipError::Content(_) | ShipError::Repacked { .. } => Failure::because(Kind::Integrity, &error),
                ShipError::Pack(LayerError::Changed { .. }) => Failure::because(Kind::Integrity, &error)
                    .help("`croze verify --repair` removes it, and the next build makes it again"),
                ShipError::Pack(LayerError::Pack(error @ PackError::ReservedName { .. })) => reserved_name(error),
                ShipError::Push(error) => Failure::of_client(error),
                ShipError::Import(_) => out_of(&*error, Kind::Network),
                ShipError::Pack(_) | ShipError::Lost => out_of(&*error, Kind::Environment),
            },
            BuildError::Files(error) => self.step_failure(&error),
            BuildError::Import(error) => out_of(&error, Kind::Network),
            BuildError::CacheExport { place, source } => export_failure(&place, &source),
            BuildError::DamagedAgain { .. } => Failure::because(Kind::Integrity, &error).help(
                "the disk or the memory of this machine may be failing: look at its log, or choose another `--root`",
            ),
            BuildError::Panicked { .. } => {
                Failure::because(Kind::Bug, &error).help("please report it, with the Dockerfile and what was printed")
            }
            BuildError::Cancelled => Failure::because(Kind::Interrupted, &error),
            BuildError::Export(ExportError::Pack(error @ PackError::ReservedName { .. })) => reserved_name(&error),
            BuildError::Export(error) => out_of(&error, Kind::Input),
            BuildError::Statements(error) => out_of(&error, Kind::Input),
            BuildError::Scan(_) | BuildError::Bundle(_) => {
                let failure = Failure::because(Kind::Integrity, &error);
                failure.help("`--sbom generator=IMAGE` names an image that follows BuildKit's SBOM scanning protocol")
            }
            other => out_of(&other, Kind::Environment),
        }
    }

    /// Says that a signal has ended the build, or that it has left something behind.
    pub(super) fn interrupted(&self, error: BuildError, kind: Kind) -> Failure {
        const INTERRUPTED: &str = "the build was interrupted";
        if !error.is_lasting() {
            return Failure::new(kind, Diagnostic::error(INTERRUPTED));
        }
        let mut failure = self.failure(error, None);
        for diagnostic in &mut failure.diagnostics {
            diagnostic.notes.push(INTERRUPTED.to_owned());
        }
        failure
    }

    /// Points at an instruction.
    fn at(&self, origin: Option<Span>, mut failure: Failure) -> Failure {
        if let (Some(span), Some(first)) = (origin, failure.diagnostics.first_mut())
            && first.labels.is_empty()
        {
            *first = first.clone().in_file(&self.dockerfile).at(span, "");
        }
        failure
    }

    /// Returns the word of an instruction that is the matter, if it can be told.
    fn word(&self, instruction: Span, error: &OpError) -> Span {
        let path = match error {
            OpError::Context(error) => error.path(),
            _ => None,
        };
        let word = path.and_then(|path| pointer::find(&self.dockerfile, instruction, path));
        word.unwrap_or(instruction)
    }

    fn step_failure(&self, error: &OpError) -> Failure {
        match error {
            OpError::Exit { exit, .. } => {
                let kind = match u8::try_from(exit.shell_code()) {
                    Ok(code) if matches!(self.exit_code, Some(ExitCodeArg::Run)) => Kind::Passed(code),
                    _ => Kind::Run,
                };
                Failure::because(kind, error)
            }
            OpError::NoSpace { .. } => Failure::because(Kind::Resource, error).help(Shortage::Space.help()),
            OpError::NoSandbox => self.no_sandbox(error),
            OpError::Exec {
                source: RunError::Setup(SetupError::LimitAboveHard { .. }),
                ..
            } => Failure::because(Kind::Environment, error).help(
                "choose a lower `--ulimit`, or raise the hard limit of the shell, the job or the pod that runs croze",
            ),
            OpError::Exec {
                source: RunError::Setup(SetupError::Exec { program, source }),
                ..
            } if program == Path::new(SHELL) && source.to_io_error().kind() == ErrorKind::NotFound => {
                Failure::because(Kind::Run, error).help(
                    "the stage has no shell: start it from an image that has one, or write the command as `[\"program\", …]`",
                )
            }
            OpError::Exec {
                source: RunError::Setup(SetupError::NoPlace { path }),
                ..
            } => {
                let name = path.file_name().unwrap_or_default().display();
                Failure::because(Kind::Environment, error).help(format!(
                    "put it below a directory such as `/srv`, or prepare the name in the image that croze runs in: \
                     `--build-arg NAMES={name}` of `ci-examples/image/Dockerfile`"
                ))
            }
            OpError::Exec {
                source: RunError::Setup(SetupError::Stranded { .. }),
                ..
            } => Failure::because(Kind::Environment, error).help(
                "do away with the cause and run croze here again, which puts all back before it does anything else; or move \
                 it back by hand",
            ),
            OpError::Exec { .. } => out_of(error, Kind::Run),
            OpError::Pull(error) => pull_failure(error),
            OpError::Import(error) => out_of(error, Kind::Network),
            OpError::Context(error) => self.context_failure(error),
            OpError::Fetch(error) => fetch_failure(error),
            OpError::Device(DeviceError::Unsupported { .. }) => Failure::because(Kind::Environment, error)
                .help("describe the device without it, in a directory that `--cdi-spec-dir` names"),
            OpError::Identity(IdentityError::Unreadable { .. }) => out_of(error, Kind::Environment),
            OpError::Identity(_) => Failure::because(Kind::Dockerfile, error),
            OpError::Secret(_) => Failure::because(Kind::Input, error).help("give it with `--secret id=…,src=…`"),
            OpError::Copy(copy) => copy_failure(copy),
            OpError::Cancelled => Failure::because(Kind::Interrupted, error),
            OpError::NotASource(_) | OpError::Source(_) => Failure::because(Kind::Bug, error),
            _ => out_of(error, Kind::Environment),
        }
    }

    /// Says that a step cannot run, with all that was found out about why.
    fn no_sandbox(&self, error: &OpError) -> Failure {
        let mut failure = Failure::because(Kind::Environment, error);
        let known = self.no_sandbox.iter().flat_map(|known| &known.diagnostics);
        for (shown, known) in failure.diagnostics.iter_mut().zip(known) {
            shown.notes.extend(known.notes.iter().cloned());
            shown.help = known.help.clone();
        }
        failure
    }

    /// Says what is the matter with a source, and which line of the ignore file hides it.
    fn context_failure(&self, error: &SelectError) -> Failure {
        let mut failure = Failure::because(resource_or(error, Kind::Input), error);
        if let (SelectError::Ignored { line, .. }, Some(ignore)) = (error, &self.ignore) {
            let pattern = ignore
                .text()
                .lines()
                .nth(line.saturating_sub(1))
                .unwrap_or_default()
                .trim();
            for diagnostic in &mut failure.diagnostics {
                diagnostic
                    .notes
                    .push(format!("{}:{line}: `{pattern}` hides it", ignore.name()));
            }
        }
        match error
            .help()
            .or_else(|| Some(Shortage::behind(error)?.help().to_owned()))
        {
            Some(help) => failure.help(help),
            None => failure,
        }
    }
}

/// Says that there is a file that no image can have.
fn reserved_name(error: &PackError) -> Failure {
    Failure::because(Kind::Integrity, error)
        .help("remove it in the step that makes it, or keep it out of the context with `.dockerignore`")
}

fn copy_failure(error: &CopyError) -> Failure {
    if error.is_unmapped_owner() {
        return Failure::because(Kind::Environment, error).help(
            "give the user more ids in `/etc/subuid` and `/etc/subgid`, or choose `--sandbox userns-single`, which keeps \
             owners of every number",
        );
    }
    let kind = resource_or(error, Kind::Input);
    if kind == Kind::Resource {
        out_of(error, kind)
    } else {
        Failure::because(kind, error)
    }
}

/// Says what went wrong before there was a Dockerfile.
pub(super) fn unread(error: BuildError) -> Failure {
    match error {
        BuildError::State(error) => state_failure(error),
        error => out_of(&error, Kind::Environment),
    }
}

/// Chooses the exit code for trouble with a source on the network.
pub(super) fn fetch_failure(error: &FetchError) -> Failure {
    let kind = match error {
        FetchError::Web { source, .. } => Failure::of_client(source).kind,
        error if error.is_refusal() => Kind::Auth,
        FetchError::Io { .. } | FetchError::Snapshot(_) => return out_of(error, Kind::Environment),
        FetchError::Status {
            status: 408 | 429 | 500..,
            ..
        }
        | FetchError::Truncated { .. }
        | FetchError::Git { .. } => Kind::Network,
        FetchError::Checksum { .. } | FetchError::Commit { .. } => Kind::Integrity,
        FetchError::NoGit(_) => Kind::Environment,
        FetchError::Interrupted => Kind::Interrupted,
        _ => Kind::Input,
    };
    let failure = Failure::because(resource_or(error, kind), error);
    match error.help() {
        Some(help) => failure.help(help),
        None => failure,
    }
}

/// Says why the cache is not where it should be, though the image is.
fn export_failure(place: &str, error: &CacheExportError) -> Failure {
    let failure = match error {
        CacheExportError::Cache(RemoteCacheError::Client(error)) | CacheExportError::Push(ShipError::Push(error)) => {
            Failure::of_client(error)
        }
        CacheExportError::Cache(RemoteCacheError::Foreign { .. }) => Failure::because(Kind::Usage, error),
        _ => out_of(error, Kind::Environment),
    };
    let diagnostics = failure.diagnostics.into_iter().map(|d| Diagnostic {
        message: format!("cannot export the cache to `{place}`: {}", d.message),
        ..d
    });
    let failure = Failure {
        diagnostics: diagnostics.collect(),
        ..failure
    };
    match failure.diagnostics.iter().any(|d| d.help.is_some()) {
        true => failure,
        false => failure.help("the image is complete; without `ignore-error=false` this is a warning"),
    }
}

fn pull_failure(error: &PullError) -> Failure {
    match error {
        PullError::NotFound(_) => Failure::because(Kind::Input, error),
        PullError::Layout(_) => out_of(error, Kind::Input),
        PullError::Client(error) => Failure::of_client(error),
        PullError::ForOthers {
            source: Some(source), ..
        } => Failure::of_client(source).help(error.to_string()),
        PullError::ForOthers { source: None, .. } => Failure::because(Kind::Input, error),
        PullError::Base(_) | PullError::DiffId { .. } => Failure::because(Kind::Integrity, error),
        PullError::Unpack { .. } | PullError::Decompress { .. } => match GrowthError::behind(error) {
            Some(GrowthError::Ratio { .. }) => Failure::because(Kind::Integrity, error)
                .help("if you trust the image, let its layers be so many times their blobs with `--max-layer-ratio`"),
            Some(GrowthError::Reserve { .. }) => Failure::because(Kind::Resource, error)
                .help("free some space, for example with `croze prune`, or let less stay free with `--min-free`"),
            None => out_of(error, Kind::Integrity),
        },
        _ => out_of(error, Kind::Environment),
    }
}

#[cfg(test)]
mod tests;
