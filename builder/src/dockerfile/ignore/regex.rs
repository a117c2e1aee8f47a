//! Regular expressions of Go's `regexp` for those of the `regex` crate.
//!
//! moby makes a Go expression of a pattern and passes brackets on as they are, so that what stands in them is read by
//! Go's rules. The two differ there: `[a&&b]` and `[[]` are plain sets in Go, operations and nested sets here.

use std::{fmt::Write as _, iter::Peekable, str::Chars};

/// Translates an expression; gives nothing if Go would not take it, or for escapes that nobody means in a path.
pub(super) fn translate(expression: &str) -> Option<String> {
    let mut out = String::with_capacity(expression.len());
    let mut chars = expression.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match escape(chars.next()?)? {
                Escape::Character(c) => push_literal(&mut out, c),
                Escape::Set(set) => {
                    write!(out, "[{set}]").ok()?;
                }
            },
            '[' => class(&mut chars, &mut out)?,
            ']' => push_literal(&mut out, c),
            other => out.push(other),
        }
    }
    Some(out)
}

enum Escape {
    Character(char),
    /// The inside of a set.
    Set(&'static str),
}

fn escape(c: char) -> Option<Escape> {
    Some(match c {
        'd' => Escape::Set("0-9"),
        's' => Escape::Set(r"\t\n\x0c\r "),
        'w' => Escape::Set("0-9A-Za-z_"),
        'a' => Escape::Character('\x07'),
        'f' => Escape::Character('\x0c'),
        'n' => Escape::Character('\n'),
        'r' => Escape::Character('\r'),
        't' => Escape::Character('\t'),
        'v' => Escape::Character('\x0b'),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Escape::Character(c),
        _ => return None,
    })
}

fn push_literal(out: &mut String, c: char) {
    out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
}

/// Reads a set after its bracket.
fn class(chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Option<()> {
    out.push('[');
    if chars.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut first = true;
    while first || chars.next_if_eq(&']').is_none() {
        first = false;
        if let Some(name) = named_set(chars) {
            write!(out, "[:{}:]", name?).ok()?;
            continue;
        }
        let low = match member(chars)? {
            Escape::Character(c) => c,
            Escape::Set(set) => {
                out.push_str(set);
                continue;
            }
        };
        // A dash before the closing bracket is a dash.
        let mut ahead = chars.clone();
        let is_range = ahead.next() == Some('-') && ahead.next() != Some(']');
        let high = if is_range {
            chars.next();
            match member(chars)? {
                Escape::Character(c) if low <= c => c,
                _ => return None,
            }
        } else {
            low
        };
        write!(out, "\\x{{{:x}}}-\\x{{{:x}}}", u32::from(low), u32::from(high)).ok()?;
    }
    out.push(']');
    Some(())
}

fn member(chars: &mut Peekable<Chars<'_>>) -> Option<Escape> {
    match chars.next()? {
        '\\' => escape(chars.next()?),
        c => Some(Escape::Character(c)),
    }
}

/// Reads `[:alpha:]`; the inner option is empty for a name that does not exist.
fn named_set(chars: &mut Peekable<Chars<'_>>) -> Option<Option<String>> {
    const NAMES: [&str; 14] = [
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper",
        "word", "xdigit",
    ];
    // What is longer is the name of none, and looking for its end at every bracket would take for ever.
    const LONGEST: usize = 64;
    let mut ahead = chars.clone();
    if (ahead.next(), ahead.next()) != (Some('['), Some(':')) {
        return None;
    }
    let mut name = String::new();
    while let Some(c) = ahead.next() {
        if c == ':' && ahead.peek() == Some(&']') {
            ahead.next();
            *chars = ahead;
            return Some(NAMES.contains(&name.trim_start_matches('^')).then_some(name));
        }
        name.push(c);
        if name.len() > LONGEST {
            return Some(None);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use ::regex::Regex;

    use super::*;

    fn matches(expression: &str, text: &str) -> bool {
        Regex::new(&translate(expression).unwrap()).unwrap().is_match(text)
    }

    #[test]
    fn sets_are_read_by_go_rules() {
        for (expression, yes, no) in [
            ("^[a&&b]$", "&", "c"),
            ("^[[]$", "[", "]"),
            ("^[[^/]*]$", "[^]", "a"),
            ("^[a~~b]$", "~", "c"),
            ("^[[:digit:]x]$", "7", "d"),
            ("^[\\d\\]]$", "]", "d"),
            ("^[^a-c]$", "/", "b"),
            ("^\\d$", "1", "d"),
            ("^\\*]$", "*]", "x]"),
            ("^[é-ü]$", "ö", "a"),
        ] {
            assert!(matches(expression, yes), "{expression} {yes}");
            assert!(!matches(expression, no), "{expression} {no}");
        }
    }

    #[test]
    fn a_long_set_takes_time_in_proportion() {
        let members = "a".repeat(1 << 20);
        assert!(translate(&format!("[{members}]")).is_some());
        assert!(translate(&format!("[{}]", "[:a".repeat(1 << 18))).is_none());
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for expression in ["[", "[b-a]", "[[:foo:]]", "\\y", "\\é", "[\\", "[a"] {
            assert_eq!(translate(expression), None, "{expression}");
        }
    }
}
