//! `InvalidDefinitionDescription`, an experiment: comments above `ARG` and `FROM … AS` describe what they define.

use crate::diagnostic::Span;
use crate::dockerfile::InstructionKind;
use crate::lint::file::{File, Statement};
use crate::lint::findings::Findings;
use crate::lint::options::skipped_by;
use crate::lint::rule;

pub(super) fn invalid(file: &File<'_>, findings: &mut Findings) {
    for statement in file.statements() {
        let (keyword, names): (_, Vec<(&str, Span)>) = match statement {
            Statement::From(stage) => {
                let names = stage.name.iter().map(|name| (name.as_str(), name.span));
                ("FROM", names.collect())
            }
            Statement::Other(instruction) => match &instruction.kind {
                InstructionKind::Arg(arguments) => {
                    let names = arguments
                        .iter()
                        .map(|argument| (argument.name.as_str(), argument.name.span));
                    ("ARG", names.collect())
                }
                _ => continue,
            },
        };
        let mut comments = statement.comments().iter();
        let (Some(comment), Some((first, span))) =
            (comments.rfind(|comment| skipped_by(comment).is_none()), names.first())
        else {
            continue;
        };
        let described = comment.split(' ').next().unwrap_or_default();
        if names.iter().any(|(name, _)| *name == described) {
            continue;
        }
        let example = if names.len() > 1 { "<arg_key>" } else { first };
        findings.go_to(statement.span(), statement.comments());
        let detail = format!("Comment for {keyword} should follow the format: `# {example} <description>`");
        findings.warn(&rule::INVALID_DEFINITION_DESCRIPTION, detail, *span);
    }
}
