//! `FROM`.

use super::statement::Statement;
use crate::{
    diagnostic::{Diagnostic, Spanned},
    dockerfile::{flags::Takes, instruction::Stage, lines::LogicalLine},
};

/// Reads the start of a stage.
pub(super) fn stage(statement: &Statement<'_>, line: &LogicalLine) -> Result<Stage, Diagnostic> {
    let mut words = statement.list().into_iter();
    let (base, name) = match (words.next(), words.next(), words.next(), words.next()) {
        (Some(base), None, ..) => (base, None),
        (Some(base), Some(r#as), Some(name), None) if r#as.eq_ignore_ascii_case("as") => (base, Some(name)),
        _ => {
            return Err(statement
                .error("requires either one or three arguments")
                .help("write `FROM image` or `FROM image AS name`"));
        }
    };
    let name = name.map(stage_name).transpose()?;
    statement.flags.check(&[("platform", Takes::Value)])?;
    let comment = name.as_ref().and_then(|name| described(&line.comments, name));
    Ok(Stage {
        base,
        name,
        platform: statement.flags.value("platform"),
        span: line.span,
        original: line.text.text().trim().to_owned(),
        comment,
        comments: line.comments.clone(),
        instructions: Vec::new(),
    })
}

fn stage_name(name: Spanned<String>) -> Result<Spanned<String>, Diagnostic> {
    let lower = name.to_lowercase();
    let valid = lower.starts_with(|c: char| c.is_ascii_lowercase())
        && lower
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.'));
    if valid {
        return Ok(Spanned::new(lower, name.span));
    }
    Err(Diagnostic::error(format!(
        "invalid name for build stage: {:?}, name can't start with a number or contain symbols",
        name.value
    ))
    .at(name.span, "")
    .help("a stage's name starts with a letter; letters, digits, `-`, `_` and `.` follow"))
}

/// Returns what a comment `name text` says of a name.
pub fn described(comments: &[String], name: &str) -> Option<String> {
    comments
        .iter()
        .find_map(|comment| comment.strip_prefix(name)?.strip_prefix(' '))
        .map(str::to_owned)
}
