//! `ONBUILD` triggers of base images, which are known only once the image is.

use std::sync::Arc;

use super::failure::Failure;
use super::stage::OpenStage;
use super::stages::ParsedStage;
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::dockerfile::{self, Instruction};

/// A trigger of an image.
#[derive(Debug)]
pub(super) struct Trigger {
    /// What it does; its spans are of `source`, not of the Dockerfile.
    pub(super) instruction: Instruction,
    /// Its text.
    pub(super) source: Arc<SourceFile>,
}

impl Trigger {
    /// Makes a failure in the trigger point at the `FROM` that brought it.
    pub(super) fn locate(&self, failure: Failure, parsed: &ParsedStage<'_>) -> Failure {
        match failure {
            Failure::Dockerfile(error) => Failure::from(in_trigger(*error, self.source.text(), parsed)),
            Failure::Resolve {
                diagnostic,
                near,
                error,
                ..
            } => Failure::Resolve {
                diagnostic: Box::new(in_trigger(*diagnostic, self.source.text(), parsed)),
                span: parsed.base_name.span,
                near,
                error,
            },
            Failure::Inherited => Failure::Inherited,
        }
    }
}

/// Takes the triggers out of a stage's config.
pub(super) fn take(stage: &mut OpenStage, parsed: &ParsedStage<'_>) -> Result<Vec<Trigger>, Failure> {
    let triggers = std::mem::take(&mut stage.state.config.config.on_build);
    let parse = |text: String| match dockerfile::parse_trigger("ONBUILD", &text) {
        Ok((source, instruction)) => Ok(Trigger { instruction, source }),
        Err(errors) => {
            let first = errors
                .into_iter()
                .next()
                .unwrap_or_else(|| Diagnostic::error("not an instruction"));
            Err(in_trigger(first, &text, parsed).into())
        }
    };
    triggers.into_iter().map(parse).collect()
}

fn in_trigger(error: Diagnostic, text: &str, parsed: &ParsedStage<'_>) -> Diagnostic {
    let line = text.lines().next().unwrap_or_default();
    let mut located = Diagnostic::error(error.message)
        .at(parsed.base_name.span, "this image brings an ONBUILD trigger")
        .note(format!("in the trigger `{line}`"));
    located.notes.extend(error.notes);
    located.help = error.help;
    located
}
