//! One line of comma-separated values, in which a field in double quotes may hold commas.

use super::mapped::{Mapped, Part};
use crate::diagnostic::Diagnostic;

const UNPAIRED: &str = "extraneous or missing \" in quoted-field";

/// Splits a line into fields without their quotes; `what` the line is a list of stands in messages.
pub(super) fn fields(line: Part<'_>, what: &str) -> Result<Vec<Mapped>, Diagnostic> {
    let error = |at: Part<'_>, problem: &str| {
        Diagnostic::error(format!("failed to parse csv {what}: {problem}")).at(at.span(), "")
    };
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let quoted = rest.text().starts_with('"');
        let (field, length) = if quoted {
            quoted_field(rest).ok_or_else(|| error(rest.slice(0..1), UNPAIRED))?
        } else {
            plain_field(rest).map_err(|quote| error(quote, "bare \" in non-quoted-field"))?
        };
        fields.push(field);
        rest = rest.from(length);
        match rest.text().chars().next() {
            None => return Ok(fields),
            Some(',') => rest = rest.from(1),
            Some(_) => return Err(error(rest, UNPAIRED)),
        }
    }
}

/// Reads up to a comma; a quote in it is an error.
fn plain_field(text: Part<'_>) -> Result<(Mapped, usize), Part<'_>> {
    let end = text.text().find(',').unwrap_or(text.text().len());
    let field = text.slice(0..end);
    if let Some(at) = field.text().find('"') {
        return Err(field.slice(at..at + 1));
    }
    let mut mapped = Mapped::default();
    push(&mut mapped, field);
    Ok((mapped, end))
}

/// Reads up to the closing quote, if there is one.
fn quoted_field(text: Part<'_>) -> Option<(Mapped, usize)> {
    let mut mapped = Mapped::default();
    let mut at = 1;
    loop {
        let length = text.text()[at..].find('"')?;
        push(&mut mapped, text.slice(at..at + length));
        at += length + 1;
        if !text.text()[at..].starts_with('"') {
            return Some((mapped, at));
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
