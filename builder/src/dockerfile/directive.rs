//! Parser directives: `# syntax=`, `# escape=` and `# check=` in the first lines.

use crate::diagnostic::{Diagnostic, SourceFile, Span, Spanned};

/// A directive's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Name {
    Syntax,
    Escape,
    Check,
}

impl Name {
    fn of(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "syntax" => Some(Self::Syntax),
            "escape" => Some(Self::Escape),
            "check" => Some(Self::Check),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Escape => "escape",
            Self::Check => "check",
        }
    }
}

/// What the directives of a file say.
#[derive(Debug)]
pub(super) struct Directives {
    /// `syntax`, as written.
    pub(super) syntax: Option<Spanned<String>>,
    /// `check`, as written.
    pub(super) check: Option<Spanned<String>>,
    /// `escape`, or a backslash.
    pub(super) escape: char,
    escape_at: Option<Span>,
    /// Whether a line has been seen that ends the directives.
    done: bool,
}

impl Default for Directives {
    fn default() -> Self {
        Self {
            syntax: None,
            check: None,
            escape: '\\',
            escape_at: None,
            done: false,
        }
    }
}

impl Directives {
    /// Takes the next line, without white space before it; says whether it is a directive.
    ///
    /// The first line that is none, even an empty one, ends the directives.
    pub(super) fn take(&mut self, line: &str, at: usize) -> Result<bool, Diagnostic> {
        if self.done {
            return Ok(false);
        }
        let Some((name, value)) = split(line, "#", at) else {
            self.done = true;
            return Ok(false);
        };
        let span = value.span;
        let earlier = match name {
            Name::Syntax => self.syntax.replace(value).map(|value| value.span),
            Name::Check => self.check.replace(value).map(|value| value.span),
            Name::Escape => {
                self.escape = match value.as_str() {
                    "\\" => '\\',
                    "`" => '`',
                    other => return Err(bad_escape(other, span)),
                };
                self.escape_at.replace(span)
            }
        };
        match earlier {
            Some(earlier) => Err(
                Diagnostic::error(format!("only one {} parser directive can be used", name.word()))
                    .at(span, "")
                    .at(earlier, "the first one is here"),
            ),
            None => Ok(true),
        }
    }
}

fn bad_escape(value: &str, span: Span) -> Diagnostic {
    Diagnostic::error(format!("invalid escape token '{value}' does not match ` or \\"))
        .at(span, "")
        .help("the escape character is `\\`, or a backtick where paths have backslashes")
}

/// Splits `# name = value` if the name is that of a directive.
fn split(line: &str, comment: &str, at: usize) -> Option<(Name, Spanned<String>)> {
    let body = line.strip_prefix(comment)?.trim_start();
    let (name, value) = body.split_once('=')?;
    let value = value.trim();
    let name = Name::of(name.trim_end())?;
    if value.is_empty() {
        return None;
    }
    let start = at + (value.as_ptr() as usize - line.as_ptr() as usize);
    let span = Span::new(start, start + value.len());
    Some((name, Spanned::new(value.to_owned(), span)))
}

/// Returns the frontend that a file asks for by `# syntax=`, without what follows a blank.
///
/// This works also for files in other languages: the directive may follow a `#!` line, be written as `//syntax=`,
/// or be the `syntax` of a JSON object.
pub fn syntax(source: &SourceFile) -> Option<Spanned<String>> {
    let whole = source.text();
    let mut text = whole.strip_prefix('\u{feff}').unwrap_or(whole);
    if text.starts_with("#!") {
        text = text.split_once('\n').map_or("", |(_, rest)| rest);
    }
    let start = whole.len() - text.len();
    directive_lines(text, start, "#")
        .or_else(|| directive_lines(text, start, "//"))
        .or_else(|| json_syntax(text, start))
}

fn directive_lines(text: &str, start: usize, comment: &str) -> Option<Spanned<String>> {
    let mut at = start;
    for line in text.split_inclusive('\n') {
        let (name, value) = split(line, comment, at)?;
        if name == Name::Syntax {
            let word = value.value.split(' ').next().unwrap_or_default().to_owned();
            let span = Span::new(value.span.start as usize, value.span.start as usize + word.len());
            return Some(Spanned::new(word, span));
        }
        at += line.len();
    }
    None
}

fn json_syntax(text: &str, start: usize) -> Option<Spanned<String>> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    let value = object.get("syntax")?.as_str()?;
    Some(Spanned::new(
        value.to_owned(),
        Span::new(start, start + text.trim_end().len()),
    ))
}

/// Returns whether a `syntax` value means this frontend: any tag or digest of `docker/dockerfile` and
/// `docker/dockerfile-upstream`, with or without `docker.io`, and BuildKit's name `dockerfile.v0` for a built-in one.
pub fn is_own_syntax(syntax: &str) -> bool {
    if syntax == "dockerfile.v0" {
        return true;
    }
    let name = ["docker.io/", "index.docker.io/", "registry-1.docker.io/"]
        .iter()
        .find_map(|host| syntax.strip_prefix(host))
        .unwrap_or(syntax);
    let name = name.split(['@', ':']).next().unwrap_or_default();
    matches!(name, "docker/dockerfile" | "docker/dockerfile-upstream")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<String> {
        syntax(&SourceFile::new("Dockerfile", text)).map(|syntax| {
            if !text.contains('{') {
                assert_eq!(&text[syntax.span.range()], syntax.value);
            }
            syntax.value
        })
    }

    #[test]
    fn the_syntax_is_found_in_all_the_places_where_buildkit_looks() {
        let cases = [
            (
                "# syntax = dockerfile:experimental // opts\nFROM a",
                Some("dockerfile:experimental"),
            ),
            ("#!/bin/sh\n# syntax=x\n", Some("x")),
            ("#!/bin/sh\n\n# syntax=x\n", None),
            ("\u{feff}# syntax=x\n", Some("x")),
            ("# escape=`\n# SynTax=x\n", Some("x")),
            ("//syntax=foo\nthing {}", Some("foo")),
            ("{\"syntax\": \"foo\"}", Some("foo")),
            ("# other=1\n# syntax=x", None),
            ("FROM a\n# syntax=x", None),
            ("# syntax=", None),
            ("", None),
        ];
        for (text, syntax) in cases {
            assert_eq!(found(text).as_deref(), syntax, "{text:?}");
        }
    }

    #[test]
    fn own_syntax_is_told_from_other_frontends() {
        for own in [
            "docker/dockerfile",
            "docker/dockerfile:1",
            "docker/dockerfile:1.7-labs",
            "docker.io/docker/dockerfile:1@sha256:00",
            "docker/dockerfile-upstream:master",
            "dockerfile.v0",
        ] {
            assert!(is_own_syntax(own), "{own}");
        }
        for other in [
            "docker/dockerfile2",
            "ghcr.io/docker/dockerfile:1",
            "foo",
            "dockerfile.v1",
            "",
        ] {
            assert!(!is_own_syntax(other), "{other}");
        }
    }

    #[test]
    fn directives_end_at_the_first_line_that_is_none() {
        let mut directives = Directives::default();
        assert!(directives.take("# EScape = `", 0).is_ok_and(|taken| taken));
        assert!(directives.take("# note", 0).is_ok_and(|taken| !taken));
        assert!(directives.take("# syntax=x", 0).is_ok_and(|taken| !taken));
        assert_eq!((directives.escape, directives.syntax), ('`', None));
    }

    #[test]
    fn a_directive_given_twice_or_with_a_wrong_value_is_an_error() {
        let mut directives = Directives::default();
        directives.take("# escape=\\", 0).unwrap();
        let error = directives.take("# escape=`", 0).unwrap_err();
        assert_eq!(error.message, "only one escape parser directive can be used");
        let error = Directives::default().take("# escape=x", 0).unwrap_err();
        assert_eq!(error.message, "invalid escape token 'x' does not match ` or \\");
    }
}
