//! `SOURCE_DATE_EPOCH`: the time that an image should bear, for builds that come out the same every time.
//!
//! | value | the time |
//! |---|---|
//! | a number | itself, in seconds since 1970 |
//! | `context` | that of the build context |
//! | a named context | its own: of the commit, or what the web server or the archive says; a directory and an image have none |
//! | a stage that only adds one file or repository of the network to `scratch` | that file's or repository's own |
//!
//! Who sits in front of a network asks [`source`] first, and gives back what it has found out with the request.

use super::environment::Environment;
use super::expand::Expander;
use super::remote::{AddFlags, refused};
use super::request::{NamedContext, Request};
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::dockerfile::{AddOptions, FileSource, InstructionKind, Stage};
use crate::op::Op;
use crate::remote::Remote;

/// The build argument's name.
pub(super) const NAME: &str = "SOURCE_DATE_EPOCH";

/// A source on the network that an image's time is to be taken from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EpochSource {
    /// What fetches it.
    pub op: Op,
    /// What in the Dockerfile names it, unless the command line does.
    pub origin: Option<Span>,
}

/// What the value says.
enum Meaning {
    /// Nothing, or something without a time.
    Unset,
    At(i64),
    OfContext,
    Of(Box<EpochSource>),
}

/// Returns the time: `globals` is the global scope, in which the Dockerfile may have set it.
pub(super) fn resolve(request: &Request, globals: &Environment) -> Result<Option<i64>, Diagnostic> {
    Ok(match meaning(request, globals)? {
        Meaning::Unset => None,
        Meaning::At(seconds) => Some(seconds),
        Meaning::OfContext => request.context_time,
        Meaning::Of(_) => request.source_time,
    })
}

/// Returns the source whose time is meant, if it is one on the network.
pub(super) fn source(request: &Request, globals: &Environment) -> Result<Option<EpochSource>, Diagnostic> {
    Ok(match meaning(request, globals)? {
        Meaning::Of(source) => Some(*source),
        Meaning::Unset | Meaning::At(_) | Meaning::OfContext => None,
    })
}

fn meaning(request: &Request, globals: &Environment) -> Result<Meaning, Diagnostic> {
    let given = request
        .build_args
        .get(NAME)
        .map(String::as_str)
        .or_else(|| globals.get(NAME))
        .unwrap_or_default();
    if given.is_empty() {
        return Ok(Meaning::Unset);
    }
    if given == "context" {
        return Ok(Meaning::OfContext);
    }
    if let Ok(seconds) = given.parse() {
        return Ok(Meaning::At(seconds));
    }
    let origin = definition(request).filter(|_| !request.build_args.contains_key(NAME));
    let at_value = |error: Diagnostic| match origin {
        Some(span) => error.at(span, ""),
        None => error,
    };
    match request.context(given, &request.platform) {
        Some((_, NamedContext::Remote(op))) => {
            let op = (**op).clone();
            return Ok(Meaning::Of(Box::new(EpochSource { op, origin })));
        }
        Some((_, NamedContext::Local { .. } | NamedContext::Image(_) | NamedContext::Scratch)) => {
            return Ok(Meaning::Unset);
        }
        None => {}
    }
    match request.dockerfile.stages.iter().find(|stage| has_name(stage, given)) {
        Some(stage) => Ok(Meaning::Of(Box::new(of_stage(stage, request, globals)?))),
        None => Err(at_value(Diagnostic::error(format!("invalid {NAME}: {given}")))
            .help("give the time in seconds since 1970, as `git log -1 --format=%ct` prints it")),
    }
}

fn has_name(stage: &Stage, name: &str) -> bool {
    stage
        .name
        .as_ref()
        .is_some_and(|known| known.eq_ignore_ascii_case(name))
}

/// Returns where the Dockerfile itself sets the time.
fn definition(request: &Request) -> Option<Span> {
    let definitions = request
        .dockerfile
        .globals
        .iter()
        .filter_map(|instruction| match &instruction.kind {
            InstructionKind::Arg(definitions) => Some(definitions),
            _ => None,
        });
    let found = definitions
        .flatten()
        .rfind(|definition| definition.name.value == NAME)?;
    Some(found.default.as_ref().map_or(found.name.span, |default| default.span))
}

/// Returns the one source of a stage. The stage is not lowered for it: all of it must be plain before anything is
/// fetched, and its own time cannot depend on the one that is looked for.
fn of_stage(stage: &Stage, request: &Request, globals: &Environment) -> Result<EpochSource, Diagnostic> {
    const HELP: &str = "take the time from a stage that is `FROM scratch` and one `ADD` of a URL or a git repository";
    let expander = Expander::new(&request.dockerfile);
    let mut env = globals.clone();
    env.remove(NAME);
    if expander.word(&stage.base, &env)?.0 != "scratch" {
        let message = format!("{NAME} stage must use FROM scratch");
        return Err(Diagnostic::error(message).at(stage.base.span, "").help(HELP));
    }
    let only_one = |span: Span| {
        let message = format!("{NAME} stage must contain exactly one remote ADD");
        Diagnostic::error(message).at(span, "").help(HELP)
    };
    let mut found = None;
    for instruction in &stage.instructions {
        match &instruction.kind {
            InstructionKind::Arg(definitions) => {
                for definition in definitions {
                    let name = &definition.name.value;
                    match (request.build_args.get(name), &definition.default) {
                        (Some(value), _) => env.set(name, value),
                        (None, Some(default)) => env.set(name, &expander.word(default, &env)?.0),
                        (None, None) => {}
                    }
                }
            }
            InstructionKind::Add(add) => {
                let source = add_source(add, instruction.span, expander, &env)?;
                let source = source.ok_or_else(|| only_one(instruction.span))?;
                if found.replace(source).is_some() {
                    return Err(only_one(instruction.span));
                }
            }
            _ => {
                let message = format!(
                    "{NAME} stage does not meet source-only requirements: unsupported {} instruction",
                    instruction.keyword.value
                );
                return Err(Diagnostic::error(message).at(instruction.span, "").help(HELP));
            }
        }
    }
    found.ok_or_else(|| only_one(stage.span))
}

/// Returns the source of an `ADD`; `None` if it is none on the network, or not the only one.
fn add_source(
    add: &AddOptions,
    span: Span,
    expander: Expander,
    env: &Environment,
) -> Result<Option<EpochSource>, Diagnostic> {
    let [FileSource::Path(written)] = add.sources.as_slice() else {
        return Ok(None);
    };
    let Some(remote) = Remote::of_add(&expander.word(written, env)?.0) else {
        return Ok(None);
    };
    let checksum = match &add.checksum {
        Some(checksum) => Some(Spanned::new(expander.word(checksum, env)?.0, checksum.span)),
        None => None,
    };
    let flags = AddFlags {
        checksum,
        keep_git_dir: add.keep_git_dir,
        unpack: add.unpack,
        span,
    };
    let remote = remote.map_err(|error| refused(&error, written.span))?;
    Ok(Some(EpochSource {
        op: flags.fetched(remote)?.op,
        origin: Some(span),
    }))
}
