//! The exec form: a JSON array of strings, told from a shell line that merely starts with a bracket.

use super::mapped::Part;
use crate::diagnostic::{Diagnostic, Spanned};

/// Brackets may nest as deep as in Go's decoder; deeper text is no JSON to BuildKit.
const DEPTH_LIMIT: usize = 10_000;

/// Reads text as the elements of a JSON array.
///
/// Gives nothing if the text is not JSON, which makes it a shell line; an array that has other things than strings
/// is an error.
pub(super) fn strings(text: Part<'_>) -> Result<Option<Vec<Spanned<String>>>, Diagnostic> {
    if !text.text().trim_start().starts_with('[') {
        return Ok(None);
    }
    let mut reader = Reader { text, at: 0 };
    let Some(elements) = reader.array() else {
        return Ok(None);
    };
    let mut strings = Vec::with_capacity(elements.len());
    for element in elements {
        match element {
            Element::Text(string) => strings.push(string),
            Element::Other(part) => {
                return Err(Diagnostic::error(
                    "when using JSON array syntax, arrays must be comprised of strings only",
                )
                .at(part.span(), "this is not a string")
                .help("put double quotes around it"));
            }
        }
    }
    Ok(Some(strings))
}

enum Element<'a> {
    Text(Spanned<String>),
    Other(Part<'a>),
}

struct Reader<'a> {
    text: Part<'a>,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text.text()[self.at..]
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn eat(&mut self, token: &str) -> Option<()> {
        self.skip_blanks();
        self.rest().starts_with(token).then(|| self.at += token.len())
    }

    fn array(&mut self) -> Option<Vec<Element<'a>>> {
        let before = self.rest();
        // White space that JSON does not know is allowed before the array only.
        self.at += before.len() - before.trim_start().len();
        self.eat("[")?;
        let mut elements = Vec::new();
        if self.eat("]").is_none() {
            loop {
                elements.push(self.element()?);
                if self.eat(",").is_none() {
                    self.eat("]")?;
                    break;
                }
            }
        }
        self.skip_blanks();
        self.rest().is_empty().then_some(elements)
    }

    fn element(&mut self) -> Option<Element<'a>> {
        self.skip_blanks();
        let start = self.at;
        if self.rest().starts_with('"') {
            let value = self.string()?;
            let span = self.text.slice(start..self.at).span();
            return Some(Element::Text(Spanned::new(value, span)));
        }
        self.skip_value()?;
        Some(Element::Other(self.text.slice(start..self.at)))
    }

    /// Skips any value, without recursion.
    fn skip_value(&mut self) -> Option<()> {
        // The brackets that still must close. The outermost array is not among them.
        let mut open = Vec::new();
        loop {
            self.skip_blanks();
            match self.rest().chars().next()? {
                bracket @ ('[' | '{') => {
                    self.at += 1;
                    let closing = if bracket == '[' { "]" } else { "}" };
                    open.push(closing);
                    if open.len() == DEPTH_LIMIT {
                        return None;
                    }
                    if self.eat(closing).is_none() {
                        self.member_name(closing)?;
                        continue;
                    }
                    open.pop();
                }
                '"' => {
                    self.string()?;
                }
                't' => self.eat("true")?,
                'f' => self.eat("false")?,
                'n' => self.eat("null")?,
                _ => self.number()?,
            }
            if !self.close(&mut open)? {
                return Some(());
            }
        }
    }

    /// Closes what the value just read completes; says whether another value follows it.
    fn close(&mut self, open: &mut Vec<&'static str>) -> Option<bool> {
        while let Some(closing) = open.last() {
            if self.eat(",").is_some() {
                self.member_name(closing)?;
                return Some(true);
            }
            self.eat(closing)?;
            open.pop();
        }
        Some(false)
    }

    /// Reads the name before a value, if the value is in an object.
    fn member_name(&mut self, closing: &str) -> Option<()> {
        if closing == "}" {
            self.skip_blanks();
            self.string()?;
            self.eat(":")?;
        }
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let rest = self.rest();
        let length = rest
            .find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'))
            .unwrap_or(rest.len());
        // serde_json knows the grammar; like Go's decoder it refuses numbers that no float can hold.
        serde_json::from_str::<f64>(&rest[..length]).ok()?;
        self.at += length;
        Some(())
    }

    fn string(&mut self) -> Option<String> {
        let mut value = String::new();
        let rest = self.rest();
        let mut chars = rest.char_indices();
        if chars.next()?.1 != '"' {
            return None;
        }
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += at + 1;
                    return Some(value);
                }
                '\0'..='\x1f' => return None,
                '\\' => {
                    let escaped = match chars.next()?.1 {
                        c @ ('"' | '\\' | '/') => c,
                        'b' => '\x08',
                        'f' => '\x0c',
                        'n' => '\n',
                        'r' => '\r',
                        't' => '\t',
                        'u' => unicode_escape(&mut chars)?,
                        _ => return None,
                    };
                    value.push(escaped);
                }
                c => value.push(c),
            }
        }
        None
    }
}

/// Reads the digits of `\u`, and a second escape if both make one character; half a pair is U+FFFD, as in Go.
fn unicode_escape(chars: &mut std::str::CharIndices<'_>) -> Option<char> {
    let high = four_digits(chars)?;
    if !(0xd800..0xdc00).contains(&high) {
        return Some(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    let mut ahead = chars.clone();
    if ahead.next().map(|(_, c)| c) == Some('\\') && ahead.next().map(|(_, c)| c) == Some('u') {
        let low = four_digits(&mut ahead)?;
        if (0xdc00..0xe000).contains(&low) {
            *chars = ahead;
            return char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
        }
    }
    Some(char::REPLACEMENT_CHARACTER)
}

fn four_digits(chars: &mut std::str::CharIndices<'_>) -> Option<u32> {
    (0..4).try_fold(0, |value, _| Some(value * 16 + chars.next()?.1.to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::super::mapped::Mapped;
    use super::*;

    fn read(text: &str) -> Result<Option<Vec<String>>, String> {
        let mut mapped = Mapped::default();
        mapped.push(text, 0);
        let read = strings(mapped.whole()).map_err(|error| error.message)?;
        Ok(read.map(|strings| strings.into_iter().map(|string| string.value).collect()))
    }

    #[test]
    fn arrays_of_strings_are_read() {
        assert_eq!(read("[]"), Ok(Some(vec![])));
        assert_eq!(
            read(" [ \"a\" , \"b\\u0041\\n\\/\" ] "),
            Ok(Some(vec!["a".into(), "bA\n/".into()]))
        );
        assert_eq!(
            read("[\"\\ud83d\\ude00\", \"\\ud83d\"]"),
            Ok(Some(vec!["😀".into(), "\u{fffd}".into()]))
        );
        assert_eq!(read("[\"\"]"), Ok(Some(vec![String::new()])));
    }

    #[test]
    fn what_is_no_json_is_a_shell_line() {
        for text in [
            "",
            "echo",
            "[ -f x ]",
            "['a']",
            "[\"a\",]",
            "[\"a\"] b",
            "[\"a\"",
            "[\"a\nb\"]",
            "[\"\\x\"]",
            "[\"\\u12\"]",
            "[1e999]",
            "[01]",
            "[{\"a\" 1}]",
            "[[]",
            "[tru]",
            "[]random string",
            "[,]",
            "[\"a\" \"b\"]",
        ] {
            assert_eq!(read(text), Ok(None), "{text}");
        }
        let deep = format!("{}{}", "[".repeat(DEPTH_LIMIT + 1), "]".repeat(DEPTH_LIMIT + 1));
        assert_eq!(read(&deep), Ok(None));
    }

    #[test]
    fn arrays_of_other_things_are_errors() {
        for text in [
            "[1]",
            "[\"a\", null]",
            "[[\"a\"]]",
            "[{\"a\": [true, false, {}], \"b\": -1.5e3}]",
            "[[[]], \"x\"]",
            "[true]",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
