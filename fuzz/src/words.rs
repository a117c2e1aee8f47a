//! Substitution: what it may say, and that its patterns match what the slowest matcher matches.

use std::collections::BTreeMap;

use builder::dockerfile::words::{Unset, WordError, expand, expand_body, expand_for_display, expand_words};

/// The slow matcher is slow: longer values and patterns tell nothing new.
const MOST: usize = 48;

/// Checks the lines of a text: a word, then perhaps a value, a pattern for it and a replacement.
pub(crate) fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let word = lines.next().unwrap_or_default();
    for escape in ['\\', '`'] {
        check_word(word, escape);
    }
    if let (Some(value), Some(pattern)) = (lines.next(), lines.next()) {
        check_pattern(value, pattern, lines.next().unwrap_or_default());
    }
}

fn environment() -> BTreeMap<String, String> {
    let variables = [
        ("a", ""),
        ("b", "x y"),
        ("c", "é*z/z"),
        ("HOME", "/home"),
        ("_9", "\u{a0}q"),
    ];
    variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn check_word(word: &str, escape: char) {
    let env = environment();
    let expanded = expand(word, escape, &env);
    let words = expand_words(word, escape, &env);
    let body = expand_body(word, &env);
    let shown = expand_for_display(word, escape, &env);
    let unset = expand(word, escape, &Unset);
    for error in [
        expanded.as_ref().err(),
        words.as_ref().err(),
        body.as_ref().err(),
        unset.as_ref().err(),
    ] {
        error.into_iter().for_each(assert_is_buildkits);
    }
    assert_eq!(expanded.as_ref().err(), words.as_ref().err(), "{word:?}");
    assert_same_kind(word, expanded.as_ref().err(), unset.as_ref().err());

    if let (Ok(expanded), Ok(words)) = (&expanded, &words) {
        assert_eq!(
            (&expanded.used, &expanded.unset),
            (&words.used, &words.unset),
            "{word:?}"
        );
        assert!(expanded.used.iter().all(|name| env.contains_key(name)), "{word:?}");
        assert!(!expanded.unset.iter().any(|name| env.contains_key(name)), "{word:?}");
        assert!(words.words.iter().all(|word| !word.is_empty()), "{word:?}");
        let without_blanks = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        assert_eq!(
            without_blanks(&expanded.text),
            without_blanks(&words.words.concat()),
            "{word:?}"
        );
        if !word.contains(['\'', '"', '<', escape]) {
            let split: Vec<&str> = expanded.text.split_whitespace().collect();
            assert_eq!(words.words, split, "{word:?}");
        }
    }
    if !word.contains(['$', '\'', '"', escape]) {
        assert_eq!(expanded.map(|expanded| expanded.text).as_deref(), Ok(word));
        assert_eq!(shown, word);
    }
    if !word.contains(['$', '\\']) {
        assert_eq!(body.map(|body| body.text).as_deref(), Ok(word));
    }
    if !word.contains('\'') {
        let quoted = expand(&format!("'{word}'"), escape, &env);
        assert_eq!(quoted.map(|quoted| quoted.text).as_deref(), Ok(word));
    }
}

/// The errors that BuildKit's own `shell` package has, the limits that croze has, and no others.
fn assert_is_buildkits(error: &WordError) {
    let said = error.to_string();
    let known = match error {
        WordError::SingleQuote => said == "unexpected end of statement while looking for matching single-quote",
        WordError::DoubleQuote => said == "unexpected end of statement while looking for matching double-quote",
        WordError::MissingBrace => said == "syntax error: missing '}'",
        WordError::MissingSlash => said == "syntax error: missing '/' in ${}",
        WordError::BadSubstitution => said == "syntax error: bad substitution",
        WordError::UnsupportedModifier { modifier } => {
            (1..=2).contains(&modifier.chars().count())
                && said == format!("unsupported modifier ({modifier}) in substitution")
        }
        WordError::InvalidPattern { pattern, escaped } => {
            pattern.contains('\\') && escaped.chars().count() <= 1 && said.starts_with("invalid pattern (")
        }
        WordError::PatternTooLarge { pattern } => pattern.len() > 1000,
        WordError::TooDeep => said == "substitutions are nested more than 100 deep",
        WordError::TooLong => said == "expands to more than 4 MiB",
        WordError::Required { name, message } => !message.is_empty() && said == format!("{name}: {message}"),
    };
    assert!(known, "{error:?}: {said}");
}

/// Whether a word is well-formed does not depend on what is set, apart from what it demands itself and from patterns that
/// values are parts of.
fn assert_same_kind(word: &str, set: Option<&WordError>, unset: Option<&WordError>) {
    let depends = |error: Option<&WordError>| {
        use WordError::{InvalidPattern, PatternTooLarge, Required, TooLong};
        matches!(
            error,
            Some(Required { .. } | InvalidPattern { .. } | PatternTooLarge { .. } | TooLong)
        )
    };
    if !depends(set) && !depends(unset) {
        let kind = |error: Option<&WordError>| error.map(std::mem::discriminant);
        assert_eq!(kind(set), kind(unset), "{word:?}: {set:?}, {unset:?} with nothing set");
    }
}

fn check_pattern(value: &str, pattern: &str, replacement: &str) {
    // Characters that end a part of the word, and an empty pattern, after which `/` means all matches.
    if pattern.is_empty()
        || pattern.contains(['$', '\'', '"', '/', '}', '#', '%'])
        || replacement.contains(['$', '\'', '"', '}', '\\'])
    {
        return;
    }
    let Some(slow) = Slow::read(pattern) else { return };
    let value: Vec<char> = value.chars().collect();
    if value.len() > MOST || pattern.len() > MOST {
        return;
    }
    let shortest_prefix = (0..=value.len()).find(|end| slow.matches(&value[..*end]));
    let longest_prefix = (0..=value.len()).rev().find(|end| slow.matches(&value[..*end]));
    let shortest_suffix = (0..=value.len()).rev().find(|start| slow.matches(&value[*start..]));
    let longest_suffix = (0..=value.len()).find(|start| slow.matches(&value[*start..]));
    let after = |end: Option<usize>| text(&value[end.unwrap_or(0)..]);
    let before = |start: Option<usize>| text(&value[..start.unwrap_or(value.len())]);
    let replaced = match slow.first(&value) {
        Some((start, end)) => text(&value[..start]) + replacement + &text(&value[end..]),
        None => text(&value),
    };
    for (word, expected) in [
        (format!("${{v#{pattern}}}"), after(shortest_prefix)),
        (format!("${{v##{pattern}}}"), after(longest_prefix)),
        (format!("${{v%{pattern}}}"), before(shortest_suffix)),
        (format!("${{v%%{pattern}}}"), before(longest_suffix)),
        (format!("${{v/{pattern}/{replacement}}}"), replaced),
    ] {
        let env = BTreeMap::from([("v".to_owned(), text(&value))]);
        let expanded = expand(&word, '\\', &env).map(|expanded| expanded.text);
        assert_eq!(expanded, Ok(expected), "{word:?} of {value:?}");
    }
}

fn text(chars: &[char]) -> String {
    chars.iter().collect()
}

/// A pattern that is matched by trying everything.
struct Slow(Vec<Unit>);

#[derive(Clone, Copy)]
enum Unit {
    Star,
    One,
    Literal(char),
}

impl Slow {
    /// Reads a pattern; nothing if it is malformed.
    fn read(pattern: &str) -> Option<Self> {
        let mut units = Vec::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            units.push(match c {
                '*' => Unit::Star,
                '?' => Unit::One,
                '\\' => Unit::Literal(chars.next().filter(|c| matches!(c, '*' | '?' | '\\'))?),
                other => Unit::Literal(other),
            });
        }
        Some(Self(units))
    }

    fn matches(&self, value: &[char]) -> bool {
        // The places that may be reached with the units so far; wildcards stop at line breaks.
        let mut reached = vec![false; value.len() + 1];
        reached[0] = true;
        for unit in &self.0 {
            let before = std::mem::replace(&mut reached, vec![false; value.len() + 1]);
            for at in 0..=value.len() {
                let stepped = |fits: bool| at > 0 && before[at - 1] && fits;
                reached[at] = match unit {
                    Unit::Star => before[at] || at > 0 && reached[at - 1] && value[at - 1] != '\n',
                    Unit::One => stepped(at > 0 && value[at - 1] != '\n'),
                    Unit::Literal(c) => stepped(at > 0 && value[at - 1] == *c),
                };
            }
        }
        reached[value.len()]
    }

    /// Finds the leftmost match, and of those the longest.
    fn first(&self, value: &[char]) -> Option<(usize, usize)> {
        (0..=value.len()).find_map(|start| {
            let end = (start..=value.len())
                .rev()
                .find(|end| self.matches(&value[start..*end]))?;
            Some((start, end))
        })
    }
}
