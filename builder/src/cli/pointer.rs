//! Finds the word of an instruction that a path comes from, so that a caret points at it and not at the whole line.

use crate::diagnostic::{SourceFile, Span};

/// What stands before the path of a mount.
const OPTIONS: [&str; 2] = ["source=", "src="];

/// Returns where `path`, which begins at the root of a context or stage, is written in an instruction; `None` if it is not
/// written as it is, as with a variable in it.
pub(super) fn find(source: &SourceFile, instruction: Span, path: &str) -> Option<Span> {
    let text = source.text().get(instruction.range())?;
    let name = path.trim_matches('/');
    if name.is_empty() {
        return None;
    }
    let word = text.match_indices(name).find_map(|(at, _)| {
        let before = text[..at].trim_end_matches(['.', '/']);
        let is_start = before.ends_with(|c: char| c.is_whitespace() || matches!(c, '"' | '['))
            || OPTIONS.iter().any(|option| before.ends_with(option));
        let after = text[at + name.len()..].trim_start_matches('/');
        let is_end = after.is_empty() || after.starts_with(|c: char| c.is_whitespace() || matches!(c, '"' | ','));
        (is_start && is_end).then(|| before.len()..text.len() - after.len())
    })?;
    let start = instruction.start as usize;
    Some(Span::new(start + word.start, start + word.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_where_it_is_a_word_of_its_own() {
        let found = |text: &str, path: &str| {
            let source = SourceFile::new("Dockerfile", text);
            let span = find(&source, Span::new(0, text.len()), path);
            span.map(|span| text[span.range()].to_owned())
        };
        for (text, path, word) in [
            ("COPY foo /foo", "/foo", Some("foo")),
            ("COPY ./a/foo /", "/a/foo", Some("./a/foo")),
            ("COPY --from=foo /foo/ /x", "/foo", Some("/foo/")),
            ("COPY foobar barfoo foo /x/", "/foo", Some("foo")),
            ("COPY [\"foo\", \"/\"]", "/foo", Some("foo")),
            (
                "RUN --mount=from=foo,source=foo,target=/x cat /foo",
                "/foo",
                Some("foo"),
            ),
            ("COPY $foo /", "/foo", None),
            ("COPY foo /", "/bar", None),
            ("COPY . /", "/", None),
        ] {
            assert_eq!(found(text, path).as_deref(), word, "{text}");
        }
    }
}
