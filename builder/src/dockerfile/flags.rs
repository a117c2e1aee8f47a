//! `--name=value` between a keyword and its arguments.

use super::mapped::{Mapped, Part};
use crate::diagnostic::did_you_mean;
use crate::diagnostic::{Diagnostic, Span, Spanned};

/// What a flag takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Takes {
    /// Nothing, `true` or `false`.
    Switch,
    /// A value, once.
    Value,
    /// A value, any number of times.
    Values,
}

/// A flag as written, without quotes and escapes.
#[derive(Debug)]
pub(super) struct Flag {
    text: Mapped,
    /// The whole word in the source.
    pub(super) span: Span,
}

impl Flag {
    fn split(&self) -> (Part<'_>, Option<Part<'_>>) {
        let body = self.text.whole().from(2);
        match body.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (body, None),
        }
    }

    /// Returns the value.
    pub(super) fn value(&self) -> Part<'_> {
        let (name, value) = self.split();
        value.unwrap_or_else(|| name.from(name.text().len()))
    }
}

/// The flags of an instruction.
#[derive(Debug)]
pub(super) struct Flags {
    flags: Vec<Flag>,
}

impl Flags {
    /// Takes the flags from the start of a text; gives them and the rest.
    ///
    /// They end at the first word without `--`, or after a lone `--`.
    pub(super) fn take(text: Part<'_>, escape: char) -> (Self, Part<'_>) {
        let mut flags = Vec::new();
        let mut rest = text;
        loop {
            let blank = rest.text().len() - rest.text().trim_start().len();
            let word = rest.from(blank);
            if !word.text().starts_with("--") {
                return (Self { flags }, word);
            }
            let (text, length) = unquoted(word, escape);
            rest = word.from(length);
            if text.text() == "--" {
                return (Self { flags }, rest);
            }
            let span = word.slice(0..length).span();
            flags.push(Flag { text, span });
        }
    }

    /// Checks all flags against those that an instruction knows.
    pub(super) fn check(&self, known: &[(&str, Takes)]) -> Result<(), Diagnostic> {
        let mut seen: Vec<(&str, Span)> = Vec::new();
        for flag in &self.flags {
            let (name, value) = flag.split();
            let name = name.text();
            let Some((_, takes)) = known.iter().find(|(known, _)| *known == name) else {
                return Err(unknown(name, flag.span, known));
            };
            if let Some((_, first)) = seen.iter().find(|(seen, _)| *seen == name)
                && *takes != Takes::Values
            {
                return Err(Diagnostic::error(format!("duplicate flag specified: --{name}"))
                    .at(flag.span, "")
                    .at(*first, "it is first given here"));
            }
            seen.push((name, flag.span));
            match (takes, value) {
                (Takes::Switch, None) => {}
                (Takes::Switch, Some(value)) if !value.is_empty() => {
                    boolean(value.text()).ok_or_else(|| not_boolean(name, value))?;
                }
                (Takes::Value | Takes::Values, Some(_)) => {}
                _ => {
                    return Err(Diagnostic::error(format!("missing a value on flag: --{name}"))
                        .at(flag.span, format!("write `--{name}=…`")));
                }
            }
        }
        Ok(())
    }

    /// Returns the value of a flag; an empty one is none.
    pub(super) fn value(&self, name: &str) -> Option<Spanned<String>> {
        self.values(name).into_iter().next()
    }

    /// Returns the values of a flag that may be repeated, empty ones left out.
    pub(super) fn values(&self, name: &str) -> Vec<Spanned<String>> {
        self.named(name)
            .map(|flag| flag.value().spanned())
            .filter(|value| !value.is_empty())
            .collect()
    }

    /// Returns whether a switch is on, if it is given.
    pub(super) fn switch(&self, name: &str) -> Option<bool> {
        let flag = self.named(name).next()?;
        boolean(flag.value().text())
    }

    /// Returns the flags of a name.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = &Flag> {
        self.flags.iter().filter(move |flag| flag.split().0.text() == name)
    }
}

fn boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "" | "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn not_boolean(name: &str, value: Part<'_>) -> Diagnostic {
    Diagnostic::error(format!(
        "expecting boolean value for flag --{name}, not: {}",
        value.text()
    ))
    .at(value.span(), "`true` or `false`")
}

fn unknown(name: &str, span: Span, known: &[(&str, Takes)]) -> Diagnostic {
    let names = || known.iter().map(|(name, _)| *name);
    let suggestion = did_you_mean(name, names());
    let error = Diagnostic::error(format!("unknown flag: --{name}{suggestion}")).at(span, "");
    if known.is_empty() {
        error.help("this instruction has no flags; a `--` before its arguments ends them")
    } else {
        let list: Vec<String> = names().map(|name| format!("`--{name}`")).collect();
        error.help(format!("known here: {}", list.join(", ")))
    }
}

/// Reads a word up to white space outside of quotes; gives its text without quotes and escapes, and its length.
fn unquoted(word: Part<'_>, escape: char) -> (Mapped, usize) {
    let all = word.text();
    let mut text = Mapped::default();
    let mut quote = None;
    let mut chars = all.char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => return (text, at),
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ => {
                let taken = if c == escape { chars.next() } else { Some((at, c)) };
                let Some((at, c)) = taken else { break };
                text.push(&all[at..at + c.len_utf8()], word.source_of(at));
            }
        }
    }
    (text, all.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[(&str, Takes)] = &[
        ("chown", Takes::Value),
        ("link", Takes::Switch),
        ("mount", Takes::Values),
    ];

    fn with<T>(text: &str, f: impl FnOnce(&Flags, Part<'_>) -> T) -> T {
        let mut mapped = Mapped::default();
        mapped.push(text, 0);
        let (flags, rest) = Flags::take(mapped.whole(), '\\');
        f(&flags, rest)
    }

    #[test]
    fn flags_end_at_the_first_other_word() {
        with("--link --chown=\"a b\"\\ c  x --y", |flags, rest| {
            assert_eq!(rest.text(), "x --y");
            assert!(flags.check(KNOWN).is_ok());
            assert_eq!(flags.switch("link"), Some(true));
            assert_eq!(flags.value("chown").unwrap().value, "a b c");
            assert_eq!(flags.value("mount"), None);
        });
        with("--mount=a --mount=b -- --link", |flags, rest| {
            assert_eq!(rest.text(), " --link");
            let values: Vec<String> = flags.values("mount").into_iter().map(|value| value.value).collect();
            assert_eq!(values, ["a", "b"]);
        });
        with("-x", |_, rest| assert_eq!(rest.text(), "-x"));
    }

    #[test]
    fn wrong_flags_are_refused_with_their_place() {
        let message = |text: &str| {
            with(text, |flags, _| {
                let error = flags.check(KNOWN).unwrap_err();
                (error.message, text[error.labels[0].span.range()].to_owned())
            })
        };
        let expect = |message: &str, place: &str| (message.to_owned(), place.to_owned());
        assert_eq!(
            message("--mont=x"),
            expect("unknown flag: --mont (did you mean mount?)", "--mont=x")
        );
        assert_eq!(
            message("--link --link"),
            expect("duplicate flag specified: --link", "--link")
        );
        assert_eq!(
            message("--chown x"),
            expect("missing a value on flag: --chown", "--chown")
        );
        assert_eq!(
            message("--link= x"),
            expect("missing a value on flag: --link", "--link=")
        );
        assert_eq!(
            message("--link=maybe"),
            expect("expecting boolean value for flag --link, not: maybe", "maybe")
        );
    }

    #[test]
    fn the_place_of_a_value_is_exact_after_quotes() {
        let text = "--chown='a b' x";
        with(text, |flags, _| {
            let value = flags.value("chown").unwrap();
            assert_eq!(&text[value.span.range()], "a b");
        });
    }
}
