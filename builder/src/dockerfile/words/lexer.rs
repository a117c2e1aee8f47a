//! One pass over a text: quotes, escapes and substitutions, giving the text and its words at the same time.

use std::str::Chars;

use super::pattern::{self, Greed};
use super::split::Words;
use super::{Expanded, ExpandedWords, Lookup, NESTING_LIMIT, TEXT_LIMIT, WordError};

/// What a text is read for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::dockerfile) enum Mode {
    /// The value of a word.
    Expand,
    /// The body of a heredoc: quotes are ordinary characters.
    Body,
    /// Something to show: quotes and unset variables stay.
    Display,
    /// The words of a line as they are written, to look for heredocs among them.
    Raw,
    /// The name that a heredoc word gives: unset variables stay, as all are.
    HeredocName,
}

impl Mode {
    fn has_quotes(self) -> bool {
        self != Self::Body
    }

    fn keeps_quotes(self) -> bool {
        matches!(self, Self::Display | Self::Raw)
    }

    fn keeps_escapes(self) -> bool {
        self == Self::Raw
    }

    fn keeps_unset(self) -> bool {
        matches!(self, Self::Display | Self::Raw | Self::HeredocName)
    }
}

/// The result of a pass.
#[derive(Debug, Default)]
pub(in crate::dockerfile) struct Lexed {
    pub(in crate::dockerfile) text: String,
    pub(in crate::dockerfile) words: Vec<String>,
    used: Vec<String>,
    unset: Vec<String>,
}

impl Lexed {
    pub(super) fn into_text(self) -> Expanded {
        Expanded {
            text: self.text,
            used: self.used,
            unset: self.unset,
        }
    }

    pub(super) fn into_words(self) -> ExpandedWords {
        ExpandedWords {
            words: self.words,
            used: self.used,
            unset: self.unset,
        }
    }
}

/// Reads a text to its end.
pub(in crate::dockerfile) fn lex(text: &str, escape: char, mode: Mode, env: &dyn Lookup) -> Result<Lexed, WordError> {
    let mut lexer = Lexer {
        rest: text.chars(),
        escape,
        mode,
        env,
        depth: 0,
        used: Vec::new(),
        unset: Vec::new(),
    };
    let (text, words) = lexer.read(None, mode.keeps_escapes())?;
    Ok(Lexed {
        text,
        words,
        used: lexer.used,
        unset: lexer.unset,
    })
}

/// What ends a nested part, and what to say if it is missing.
type End = (char, WordError);

struct Lexer<'a> {
    rest: Chars<'a>,
    escape: char,
    mode: Mode,
    env: &'a dyn Lookup,
    /// How many substitutions are open.
    depth: usize,
    used: Vec<String>,
    unset: Vec<String>,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn next(&mut self) -> Option<char> {
        self.rest.next()
    }

    /// Reads up to the character that ends a nested part, or the whole text.
    fn read(&mut self, end: Option<&End>, keep_escapes: bool) -> Result<(String, Vec<String>), WordError> {
        let mut text = String::new();
        let mut words = Words::default();
        while let Some(c) = self.next() {
            match c {
                _ if end.is_some_and(|(end, _)| c == *end) => return Ok((text, words.finish())),
                '$' => {
                    let value = self.substitution()?;
                    words.push_split(&value);
                    append(&mut text, &value)?;
                }
                '\'' | '"' if self.mode.has_quotes() => {
                    let start = text.len();
                    if c == '"' {
                        self.double_quoted(&mut text, keep_escapes)?;
                    } else {
                        self.single_quoted(&mut text)?;
                    }
                    words.push_whole(&text[start..]);
                }
                '<' if self.mode.has_quotes() && self.peek() == Some('<') => {
                    let start = text.len();
                    self.heredoc_operator(&mut text);
                    words.push_whole(&text[start..]);
                }
                _ if c == self.escape => {
                    if keep_escapes {
                        words.push_whole(c.encode_utf8(&mut [0; 4]));
                        text.push(c);
                    }
                    let Some(escaped) = self.next() else { break };
                    words.push_whole(escaped.encode_utf8(&mut [0; 4]));
                    text.push(escaped);
                }
                _ => {
                    words.push(c);
                    text.push(c);
                }
            }
        }
        match end {
            Some((_, missing)) => Err(missing.clone()),
            None => Ok((text, words.finish())),
        }
    }

    /// Takes `<<` and the blanks after it as one word with what follows.
    fn heredoc_operator(&mut self, text: &mut String) {
        self.next();
        text.push_str("<<");
        while let Some(blank) = self.peek().filter(|c| matches!(c, ' ' | '\t' | '\r' | '\n')) {
            self.next();
            text.push(blank);
        }
    }

    fn single_quoted(&mut self, text: &mut String) -> Result<(), WordError> {
        let (quoted, rest) = self.rest.as_str().split_once('\'').ok_or(WordError::SingleQuote)?;
        self.rest = rest.chars();
        if self.mode.keeps_quotes() {
            text.extend(["'", quoted, "'"]);
        } else {
            text.push_str(quoted);
        }
        Ok(())
    }

    fn double_quoted(&mut self, text: &mut String, keep_escapes: bool) -> Result<(), WordError> {
        if self.mode.keeps_quotes() {
            text.push('"');
        }
        loop {
            match self.next().ok_or(WordError::DoubleQuote)? {
                '"' => {
                    if self.mode.keeps_quotes() {
                        text.push('"');
                    }
                    return Ok(());
                }
                '$' => append(text, &self.substitution()?)?,
                c if c == self.escape => {
                    if keep_escapes {
                        text.push(c);
                    }
                    match self.peek() {
                        None => {}
                        Some(escaped) if matches!(escaped, '"' | '$') || escaped == self.escape => {
                            self.next();
                            text.push(escaped);
                        }
                        Some(_) => text.push(c),
                    }
                }
                c => text.push(c),
            }
        }
    }

    /// Reads what follows a `$`.
    fn substitution(&mut self) -> Result<String, WordError> {
        if self.peek() != Some('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return Ok(match self.lookup(&name) {
                None if self.mode.keeps_unset() => format!("${name}"),
                value => value.unwrap_or_default(),
            });
        }
        self.next();
        match self.peek() {
            None => return Err(WordError::MissingBrace),
            Some('{' | '}' | ':') => return Err(WordError::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        match self.next() {
            None => Err(WordError::MissingBrace),
            Some('}') => Ok(match self.lookup(&name) {
                None if self.mode.keeps_unset() => format!("${{{name}}}"),
                value => value.unwrap_or_default(),
            }),
            Some(':') => match self.next() {
                None => Err(WordError::MissingBrace),
                Some(modifier @ ('#' | '%')) => Err(unsupported(&[':', modifier])),
                Some(modifier) => self.modified(&name, &[':', modifier]),
            },
            Some(modifier @ ('+' | '-' | '?')) => self.modified(&name, &[modifier]),
            Some(modifier @ ('#' | '%')) => self.trimmed(&name, modifier),
            Some('/') => self.replaced(&name),
            Some(other) => Err(unsupported(&[other])),
        }
    }

    /// `${x-y}`, `${x+y}`, `${x?y}` and the same with a colon, which counts an empty value as none.
    fn modified(&mut self, name: &str, modifier: &[char]) -> Result<String, WordError> {
        let word = self.nested(('}', WordError::MissingBrace), false)?;
        let value = self.lookup(name);
        if value.is_none() && self.mode.keeps_unset() {
            let modifier: String = modifier.iter().collect();
            return Ok(format!("${{{name}{modifier}{word}}}"));
        }
        let was_set = value.is_some();
        let value = value.filter(|value| !value.is_empty() || modifier.len() == 1);
        match (modifier.last(), value) {
            (Some('-' | '?'), Some(value)) => Ok(value),
            (Some('-'), None) | (Some('+'), Some(_)) => Ok(word),
            (Some('+'), None) => Ok(String::new()),
            (Some('?'), None) => {
                let message = match (word.is_empty(), was_set) {
                    (false, _) => word,
                    (true, true) => "is not allowed to be empty".to_owned(),
                    (true, false) => "is not allowed to be unset".to_owned(),
                };
                let name = name.to_owned();
                Err(WordError::Required { name, message })
            }
            _ => Err(unsupported(modifier)),
        }
    }

    /// `${x#p}`, `${x##p}`, `${x%p}` and `${x%%p}`.
    fn trimmed(&mut self, name: &str, modifier: char) -> Result<String, WordError> {
        let word = self.nested(('}', WordError::MissingBrace), true)?;
        let value = self.lookup(name);
        if value.is_none() && self.mode.keeps_unset() {
            return Ok(format!("${{{name}{modifier}{word}}}"));
        }
        let value = value.unwrap_or_default();
        let (pattern, greed) = match word.strip_prefix(modifier) {
            Some(pattern) => (pattern, Greed::Longest),
            None => (word.as_str(), Greed::Shortest),
        };
        let trim = if modifier == '#' {
            pattern::trim_prefix
        } else {
            pattern::trim_suffix
        };
        trim(&value, pattern, greed)
    }

    /// `${x/p/r}` and `${x//p/r}`.
    fn replaced(&mut self, name: &str) -> Result<String, WordError> {
        let all = self.peek() == Some('/');
        if all {
            self.next();
        }
        let pattern = self.nested(('/', WordError::MissingSlash), true)?;
        let replacement = self.nested(('}', WordError::MissingBrace), true)?;
        let value = self.lookup(name);
        if value.is_none() && self.mode.keeps_unset() {
            return Ok(format!("${{{name}/{pattern}/{replacement}}}"));
        }
        let replace = if all {
            pattern::replace_all
        } else {
            pattern::replace_first
        };
        replace(&value.unwrap_or_default(), &pattern, &replacement)
    }

    fn nested(&mut self, end: End, keep_escapes: bool) -> Result<String, WordError> {
        if self.depth == NESTING_LIMIT {
            return Err(WordError::TooDeep);
        }
        self.depth += 1;
        let read = self.read(Some(&end), keep_escapes);
        self.depth -= 1;
        match read {
            Ok((text, _)) => Ok(text),
            Err(limit @ (WordError::TooDeep | WordError::TooLong)) => Err(limit),
            // Whatever else went wrong on the way to the end of the text, the missing end explains it best.
            Err(_) if self.peek().is_none() => Err(end.1),
            Err(error) => Err(error),
        }
    }

    /// Reads a name: letters, digits and underscores, or digits, or one special parameter.
    fn name(&mut self) -> String {
        let rest = self.rest.as_str();
        let first = rest.chars().next();
        let length = match first {
            Some(c) if c.is_numeric() => rest.find(|c: char| !c.is_numeric()),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => Some(1),
            _ => rest.find(|c: char| !(c.is_alphanumeric() || c == '_')),
        };
        let (name, rest) = rest.split_at(length.unwrap_or(rest.len()));
        self.rest = rest.chars();
        name.to_owned()
    }

    fn lookup(&mut self, name: &str) -> Option<String> {
        let value = self.env.get(name).map(str::to_owned);
        let names = if value.is_some() {
            &mut self.used
        } else {
            &mut self.unset
        };
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
        value
    }
}

/// Appends the value of a substitution.
fn append(text: &mut String, value: &str) -> Result<(), WordError> {
    if text.len() + value.len() > TEXT_LIMIT {
        return Err(WordError::TooLong);
    }
    text.push_str(value);
    Ok(())
}

fn unsupported(modifier: &[char]) -> WordError {
    WordError::UnsupportedModifier {
        modifier: modifier.iter().collect(),
    }
}
