//! A syntax tree without the places at which it was written.

use std::fmt::Debug;

use builder::dockerfile::Dockerfile;

/// Returns what a tree says, as text: without places, and without the text as it was written.
pub(crate) fn of_file(file: &Dockerfile) -> String {
    of(&(file.escape, &file.syntax, &file.check, &file.globals, &file.stages))
}

/// Returns what a part of a tree says.
pub(crate) fn of(part: &impl Debug) -> String {
    let shown = format!("{part:?}");
    let mut meaning = String::with_capacity(shown.len());
    let mut rest = shown.as_str();
    while let Some((before, after, end)) = next_place(rest) {
        meaning.push_str(before);
        meaning.push('…');
        rest = &after[end..];
    }
    meaning + rest
}

/// Finds the next place: what is before it, what is after its opening, and how long it is.
fn next_place(shown: &str) -> Option<(&str, &str, usize)> {
    const SPAN: &str = "Span { ";
    const ORIGINAL: &str = "original: \"";
    let span = shown.find(SPAN);
    let original = shown.find(ORIGINAL);
    if original.is_some_and(|at| span.is_none_or(|span| at < span)) {
        let (before, after) = shown.split_once(ORIGINAL)?;
        return Some((before, after, end_of_string(after)));
    }
    let (before, after) = shown.split_once(SPAN)?;
    Some((before, after, after.find('}').map_or(after.len(), |at| at + 1)))
}

/// Finds the quote that ends a string, past those that are escaped.
fn end_of_string(text: &str) -> usize {
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return at + 1,
            '\\' => {
                chars.next();
            }
            _ => {}
        }
    }
    text.len()
}
