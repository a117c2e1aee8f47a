//! `SOURCE_DATE_EPOCH`: the time that an image should bear, for builds that come out the same every time.

use super::environment::Environment;
use super::request::{NamedContext, Request};
use crate::diagnostic::{Diagnostic, Span};
use crate::dockerfile::InstructionKind;

/// The build argument's name.
pub(super) const NAME: &str = "SOURCE_DATE_EPOCH";

/// Reads the time from the command line, else from the global scope. It is a number of seconds, or names a source
/// whose own time it is; a directory has none.
pub(super) fn resolve(request: &Request, globals: &Environment) -> Result<Option<i64>, Diagnostic> {
    let given = request
        .build_args
        .get(NAME)
        .map(String::as_str)
        .or_else(|| globals.get(NAME))
        .unwrap_or_default();
    if given.is_empty() {
        return Ok(None);
    }
    if given == "context" {
        return Ok(request.context_time);
    }
    if let Ok(seconds) = given.parse() {
        return Ok(Some(seconds));
    }
    let error = match request.context(given, &request.platform) {
        Some((_, NamedContext::Local { .. })) => return Ok(None),
        Some((_, NamedContext::Remote(_))) => Diagnostic::error(format!(
            "SOURCE_DATE_EPOCH from the named context `{given}` is not supported yet"
        )),
        Some(_) => Diagnostic::error(format!("SOURCE_DATE_EPOCH from the image `{given}` is not supported")),
        None if request.dockerfile.stages.iter().any(|stage| has_name(stage, given)) => Diagnostic::error(format!(
            "SOURCE_DATE_EPOCH from the stage `{given}` is not supported yet"
        )),
        None => Diagnostic::error(format!("invalid SOURCE_DATE_EPOCH: {given}")),
    };
    let error = error.help("give the time in seconds since 1970, as `git log -1 --format=%ct` prints it");
    Err(match definition(request) {
        Some(span) if !request.build_args.contains_key(NAME) => error.at(span, ""),
        _ => error,
    })
}

fn has_name(stage: &crate::dockerfile::Stage, name: &str) -> bool {
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
