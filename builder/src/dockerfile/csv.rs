//! One line of comma-separated values, in which a field in double quotes may hold commas.

use super::mapped::{Mapped, Part};
use crate::diagnostic::Diagnostic;

/// Splits a line into fields without their quotes.
pub(super) fn fields(line: Part<'_>) -> Result<Vec<Mapped>, Diagnostic> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let quoted = rest.text().starts_with('"');
        let (field, length) = if quoted {
            quoted_field(rest)?
        } else {
            plain_field(rest)?
        };
        fields.push(field);
        rest = rest.from(length);
        match rest.text().chars().next() {
            None => return Ok(fields),
            Some(',') => rest = rest.from(1),
            Some(_) => return Err(error(rest, "extraneous or missing \" in quoted-field")),
        }
    }
}

fn plain_field(text: Part<'_>) -> Result<(Mapped, usize), Diagnostic> {
    let end = text.text().find(',').unwrap_or(text.text().len());
    let field = text.slice(0..end);
    if let Some(at) = field.text().find('"') {
        return Err(error(field.slice(at..at + 1), "bare \" in non-quoted-field"));
    }
    let mut mapped = Mapped::default();
    push(&mut mapped, field);
    Ok((mapped, end))
}

fn quoted_field(text: Part<'_>) -> Result<(Mapped, usize), Diagnostic> {
    let mut mapped = Mapped::default();
    let mut at = 1;
    loop {
        let Some(length) = text.text()[at..].find('"') else {
            return Err(error(text.slice(0..1), "extraneous or missing \" in quoted-field"));
        };
        push(&mut mapped, text.slice(at..at + length));
        at += length + 1;
        if !text.text()[at..].starts_with('"') {
            return Ok((mapped, at));
        }
        push(&mut mapped, text.slice(at..at + 1));
        at += 1;
    }
}

fn push(mapped: &mut Mapped, part: Part<'_>) {
    // Character by character, because a part need not stand in the source in one piece.
    for (at, c) in part.text().char_indices() {
        mapped.push(&part.text()[at..at + c.len_utf8()], part.source_of(at));
    }
}

fn error(at: Part<'_>, what: &str) -> Diagnostic {
    Diagnostic::error(format!("failed to parse csv mounts: {what}")).at(at.span(), "")
}
