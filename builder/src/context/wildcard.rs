//! Wildcards of `COPY` sources: Go's `filepath.Match`, one path component at a time.
//!
//! `*` is any run of characters, `?` any one, `[a-c]` and `[^a-c]` one of a class, `\` takes the next character
//! literally. None of them crosses a `/`, so a pattern of several components is matched level by level. This is not
//! the language of `.dockerignore`: there is no `**`, no `!`.

/// Why a pattern is not one: an unclosed or empty class, or a final backslash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BadPattern;

/// A pattern for one path component.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Wildcard(Vec<Token>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    Star,
    AnyOne,
    Literal(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

/// Returns whether `text` has a wildcard that is not escaped.
pub(super) fn is_wildcard(text: &str) -> bool {
    let mut escaped = false;
    text.chars().any(|c| {
        let special = !escaped && matches!(c, '*' | '?' | '[');
        escaped = !escaped && c == '\\';
        special
    })
}

impl Wildcard {
    /// Parses a component.
    pub(super) fn parse(component: &str) -> Result<Self, BadPattern> {
        let mut tokens = Vec::new();
        let mut rest = component.chars();
        while let Some(c) = rest.next() {
            tokens.push(match c {
                '*' => Token::Star,
                '?' => Token::AnyOne,
                '\\' => Token::Literal(rest.next().ok_or(BadPattern)?),
                '[' => parse_class(&mut rest)?,
                literal => Token::Literal(literal),
            });
        }
        Ok(Self(tokens))
    }

    /// Returns whether the whole of `name` matches. A byte that is not UTF-8 counts as one character.
    pub(super) fn matches(&self, name: &[u8]) -> bool {
        let name: Vec<char> = decode(name).collect();
        let (mut token, mut at) = (0, 0);
        // Where to go on when what follows the last star does not fit: one character further. Earlier stars need
        // no second try, since the last one can take over whatever they gave up.
        let mut retry = None;
        loop {
            match self.0.get(token) {
                Some(Token::Star) => {
                    retry = Some((token, at));
                    token += 1;
                    continue;
                }
                Some(one) if name.get(at).is_some_and(|c| one.matches(*c)) => {
                    (token, at) = (token + 1, at + 1);
                    continue;
                }
                None if at == name.len() => return true,
                _ => {}
            }
            match retry {
                Some((star, from)) if from < name.len() => {
                    retry = Some((star, from + 1));
                    (token, at) = (star + 1, from + 1);
                }
                _ => return false,
            }
        }
    }
}

impl Token {
    fn matches(&self, c: char) -> bool {
        match self {
            Self::Star => false,
            Self::AnyOne => true,
            Self::Literal(literal) => *literal == c,
            Self::Class { negated, ranges } => ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated,
        }
    }
}

/// Parses what follows `[`, through the closing bracket.
fn parse_class(rest: &mut std::str::Chars<'_>) -> Result<Token, BadPattern> {
    let negated = rest.as_str().starts_with('^');
    if negated {
        rest.next();
    }
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && rest.as_str().starts_with(']') {
            rest.next();
            return Ok(Token::Class { negated, ranges });
        }
        let low = class_member(rest)?;
        let high = if rest.as_str().starts_with('-') {
            rest.next();
            class_member(rest)?
        } else {
            low
        };
        ranges.push((low, high));
    }
}

fn class_member(rest: &mut std::str::Chars<'_>) -> Result<char, BadPattern> {
    match rest.next() {
        Some('\\') => rest.next().ok_or(BadPattern),
        None | Some('-' | ']') => Err(BadPattern),
        Some(c) => Ok(c),
    }
}

fn decode(name: &[u8]) -> impl Iterator<Item = char> {
    name.utf8_chunks().flat_map(|chunk| {
        chunk
            .valid()
            .chars()
            .chain(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // The table is that of Go's documentation and its own corner cases, for names without a slash.
    #[test]
    fn patterns_match_as_in_go() {
        let table = [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("a*b*c*d*e*", "axbxcxdxexxx", true),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            (r"a\*b", "a*b", true),
            (r"a\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            (r"[\]a]", "]", true),
            (r"[x\-]", "-", true),
            (r"[\-x]", "z", false),
            ("*x", "xxx", true),
            ("arr[[]0].txt", "arr[0].txt", true),
            (".*", ".git", true),
            ("", "", true),
            ("", "a", false),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(
                Wildcard::parse(pattern).unwrap().matches(name.as_bytes()),
                expected,
                "{pattern} {name}"
            );
        }
        assert!(Wildcard::parse("a?b").unwrap().matches(b"a\xffb"));
    }

    #[test]
    fn a_broken_class_is_an_error() {
        for pattern in ["[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[", "[^", "[^bc", "a[", r"a\"] {
            assert_eq!(Wildcard::parse(pattern), Err(BadPattern), "{pattern}");
        }
    }

    #[test]
    fn only_an_unescaped_character_makes_a_wildcard() {
        assert!(is_wildcard("a*") && is_wildcard("a?") && is_wildcard("[") && is_wildcard(r"\\*"));
        assert!(!is_wildcard(r"a\*") && !is_wildcard("a]") && !is_wildcard(r"\[x\?"));
    }

    // G9: what makes backtracking matchers explode ends in time proportional to pattern times name.
    #[test]
    fn many_stars_do_not_explode() {
        let pattern = Wildcard::parse(&"a*".repeat(200)).unwrap();
        let name = "a".repeat(10_000) + "b";
        assert!(pattern.matches(name.as_bytes()));
        let never = Wildcard::parse(&("a*".repeat(200) + "c")).unwrap();
        assert!(!never.matches(name.as_bytes()));
    }
}
