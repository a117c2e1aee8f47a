//! The patterns of `${x#p}`, `${x%p}` and `${x/p/r}`: `*` and `?`, and `\` before these and itself.

use regex::Regex;

use super::{TEXT_LIMIT, WordError};

/// How much a `*` takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Greed {
    Shortest,
    Longest,
}

/// Removes the pattern from the start of a value, if it is there.
pub(super) fn trim_prefix(value: &str, pattern: &str, greed: Greed) -> Result<String, WordError> {
    let regex = compile(&format!("^{}", translate(pattern, greed)?), pattern)?;
    let end = regex.find(value).map_or(0, |found| found.end());
    Ok(value[end..].to_owned())
}

/// Removes the pattern from the end of a value, if it is there.
///
/// The shortest match at the end is the shortest one at the start of the value read backwards.
pub(super) fn trim_suffix(value: &str, pattern: &str, greed: Greed) -> Result<String, WordError> {
    let backwards: String = value.chars().rev().collect();
    let trimmed = trim_prefix(&backwards, &reversed(pattern), greed)?;
    Ok(trimmed.chars().rev().collect())
}

/// Replaces the first match of a pattern.
pub(super) fn replace_first(value: &str, pattern: &str, replacement: &str) -> Result<String, WordError> {
    let regex = compile(&translate(pattern, Greed::Longest)?, pattern)?;
    Ok(match regex.find(value) {
        Some(found) => [&value[..found.start()], replacement, &value[found.end()..]].concat(),
        None => value.to_owned(),
    })
}

/// Replaces all matches of a pattern. As in BuildKit, a `$1` that ends up in the replacement is a group's name, and
/// as there are no groups, nothing.
pub(super) fn replace_all(value: &str, pattern: &str, replacement: &str) -> Result<String, WordError> {
    let regex = compile(&translate(pattern, Greed::Longest)?, pattern)?;
    let mut replaced = String::with_capacity(value.len());
    let mut rest = 0;
    for found in regex.captures_iter(value) {
        let Some(whole) = found.get(0) else { continue };
        replaced.push_str(&value[rest..whole.start()]);
        found.expand(replacement, &mut replaced);
        if replaced.len() > TEXT_LIMIT {
            return Err(WordError::TooLong);
        }
        rest = whole.end();
    }
    replaced.push_str(&value[rest..]);
    Ok(replaced)
}

fn compile(regex: &str, pattern: &str) -> Result<Regex, WordError> {
    Regex::new(regex).map_err(|_| WordError::PatternTooLarge {
        pattern: pattern.to_owned(),
    })
}

/// Makes a regular expression of a pattern. A `/` or `}` is escaped only to end the substitution elsewhere.
fn translate(pattern: &str, greed: Greed) -> Result<String, WordError> {
    let mut out = String::with_capacity(pattern.len() + 4);
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        let literal = match c {
            '*' => {
                out.push_str(if greed == Greed::Longest { ".*" } else { ".*?" });
                continue;
            }
            '?' => {
                out.push('.');
                continue;
            }
            '\\' => match chars.next() {
                Some(escaped @ ('*' | '?' | '\\' | '/' | '}')) => escaped,
                other => {
                    return Err(WordError::InvalidPattern {
                        pattern: pattern.to_owned(),
                        escaped: other.map(String::from).unwrap_or_default(),
                    });
                }
            },
            other => other,
        };
        out.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4])));
    }
    Ok(out)
}

/// Turns a pattern round, each escape staying before its character.
fn reversed(pattern: &str) -> String {
    let mut units = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        units.push((c, if c == '\\' { chars.next() } else { None }));
    }
    units
        .into_iter()
        .rev()
        .flat_map(|(c, escaped)| [Some(c), escaped])
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_turned_round_with_their_escapes() {
        for (pattern, backwards) in [
            ("a\\*c", "c\\*a"),
            ("\\\\\\ab", "b\\a\\\\"),
            ("ab\\", "\\ba"),
            ("é\\🚀x", "x\\🚀é"),
        ] {
            assert_eq!(reversed(pattern), backwards);
        }
    }

    #[test]
    fn only_wildcards_mean_something() {
        assert_eq!(translate("a*", Greed::Shortest).unwrap(), "a.*?");
        assert_eq!(translate("\\*?", Greed::Longest).unwrap(), "\\*.");
        assert_eq!(translate("[a].\\}", Greed::Longest).unwrap(), "\\[a\\]\\.\\}");
        for wrong in ["\\", "\\x", "\\\\\\"] {
            assert!(translate(wrong, Greed::Longest).is_err(), "{wrong}");
        }
    }
}
