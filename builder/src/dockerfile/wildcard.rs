//! The wildcards of `COPY` and `ADD` sources: Go's `filepath.Match`, in which `*` and `?` stop at `/`.
//!
//! `**` is no more than `*` here; [`ignore`](super::ignore) has the other dialect.

/// A pattern for paths.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wildcard {
    tokens: Vec<Token>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    /// Any characters but `/`.
    Star,
    /// A character but `/`.
    One,
    /// This character.
    Literal(char),
    /// A character in one of the ranges, or in none of them; `/` is as good as any.
    Class { negated: bool, ranges: Vec<(char, char)> },
}

/// A pattern is not well-formed: a bracket is open or empty, or a backslash is last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct BadWildcard;

impl Wildcard {
    /// Reads a pattern.
    pub fn parse(pattern: &str) -> Result<Self, BadWildcard> {
        let mut tokens = Vec::new();
        let mut rest = pattern.chars().peekable();
        while let Some(c) = rest.next() {
            tokens.push(match c {
                '*' => Token::Star,
                '?' => Token::One,
                '[' => class(&mut rest)?,
                '\\' => Token::Literal(rest.next().ok_or(BadWildcard)?),
                other => Token::Literal(other),
            });
        }
        Ok(Self { tokens })
    }

    /// Returns whether a whole path matches.
    pub fn matches(&self, path: &str) -> bool {
        let path: Vec<char> = path.chars().collect();
        let (mut token, mut at) = (0, 0);
        // The last star, and where what it takes ends so far.
        let mut star: Option<(usize, usize)> = None;
        loop {
            match self.tokens.get(token) {
                Some(Token::Star) => {
                    star = Some((token, at));
                    token += 1;
                    continue;
                }
                Some(wanted) if path.get(at).is_some_and(|c| wanted.takes(*c)) => {
                    token += 1;
                    at += 1;
                    continue;
                }
                None if at == path.len() => return true,
                _ => {}
            }
            // Let the last star take one character more; earlier ones have found their first match.
            match star {
                Some((start, end)) if path.get(end).is_some_and(|c| *c != '/') => {
                    star = Some((start, end + 1));
                    (token, at) = (start + 1, end + 1);
                }
                _ => return false,
            }
        }
    }
}

impl Token {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Star | Self::One => c != '/',
            Self::Literal(literal) => *literal == c,
            Self::Class { negated, ranges } => ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated,
        }
    }
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn class(rest: &mut Rest<'_>) -> Result<Token, BadWildcard> {
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    while ranges.is_empty() || rest.next_if_eq(&']').is_none() {
        let low = class_character(rest)?;
        let high = match rest.next_if_eq(&'-') {
            Some(_) => class_character(rest)?,
            None => low,
        };
        ranges.push((low, high));
    }
    Ok(Token::Class { negated, ranges })
}

fn class_character(rest: &mut Rest<'_>) -> Result<char, BadWildcard> {
    match rest.next() {
        None | Some('-' | ']') => Err(BadWildcard),
        Some('\\') => rest.next().ok_or(BadWildcard),
        Some(c) => Ok(c),
    }
}

/// Returns whether a path has wildcards in it that are not escaped.
pub fn has_wildcards(path: &str) -> bool {
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' | '?' | '[' => return true,
            '\\' => {
                chars.next();
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        let cases = [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*", "a/b", false),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("a?b", "a/b", false),
            ("a[^x]b", "a/b", true),
            ("[\\]a]", "]", true),
            ("[\\-x]", "-", true),
            ("[x\\-]", "z", false),
            ("[!a]", "!", true),
            ("*x", "xxx", true),
            ("**", "ab", true),
            ("**/x", "a/b/x", false),
            ("", "", true),
            ("", "a", false),
        ];
        for (pattern, path, matches) in cases {
            assert_eq!(
                Wildcard::parse(pattern).unwrap().matches(path),
                matches,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for pattern in [
            "[]a]", "[-]", "[x-]", "[-x]", "\\", "[a-b-c]", "[", "[^", "[^bc", "a[", "[a\\",
        ] {
            assert_eq!(Wildcard::parse(pattern), Err(BadWildcard), "{pattern}");
        }
    }

    #[test]
    fn escaped_wildcards_are_none() {
        for (path, has) in [
            ("a*", true),
            ("a[", true),
            ("a\\*", false),
            ("a\\\\?", true),
            ("a.b", false),
        ] {
            assert_eq!(has_wildcards(path), has, "{path}");
        }
    }
}
