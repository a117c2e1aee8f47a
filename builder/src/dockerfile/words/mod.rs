//! Substitution: `$x`, `${x:-y}` and their kin, quotes and escapes, as the builder does them before a step runs.
//!
//! It looks like a shell's and is not: there are no commands, no arithmetic, no assignment, patterns know only `*`
//! and `?`, and positional and special parameters are never set.

mod lexer;
mod pattern;
mod split;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

pub(super) use lexer::{Mode, lex};

/// How deep substitutions may be nested: `${a-${b-…}}`.
const NESTING_LIMIT: usize = 100;
/// How many bytes one text may expand to.
const TEXT_LIMIT: usize = 4 << 20;

/// Where the values of variables come from.
pub trait Lookup {
    /// Returns the value of a variable, if it is set.
    fn get(&self, name: &str) -> Option<&str>;
}

impl Lookup for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<&str> {
        BTreeMap::get(self, name).map(String::as_str)
    }
}

impl Lookup for HashMap<String, String> {
    fn get(&self, name: &str) -> Option<&str> {
        HashMap::get(self, name).map(String::as_str)
    }
}

/// An ordered environment; the last of equal names wins.
impl Lookup for [(String, String)] {
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Lookup for Vec<(String, String)> {
    fn get(&self, name: &str) -> Option<&str> {
        Lookup::get(self.as_slice(), name)
    }
}

impl<T: Lookup + ?Sized> Lookup for &T {
    fn get(&self, name: &str) -> Option<&str> {
        T::get(self, name)
    }
}

/// No variable is set.
#[derive(Clone, Copy, Debug)]
pub struct Unset;

impl Lookup for Unset {
    fn get(&self, _: &str) -> Option<&str> {
        None
    }
}

/// What substitution made of a text.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Expanded {
    /// The text with variables replaced and quotes and escapes removed.
    pub text: String,
    /// Variables that were asked for and set, without repetition, in order of first use.
    pub used: Vec<String>,
    /// Variables that were asked for and not set.
    pub unset: Vec<String>,
}

/// The same, split at white space that was not quoted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ExpandedWords {
    /// The words; empty ones vanish, even quoted.
    pub words: Vec<String>,
    /// Variables that were asked for and set.
    pub used: Vec<String>,
    /// Variables that were asked for and not set.
    pub unset: Vec<String>,
}

/// Why a text cannot be expanded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WordError {
    /// A `'` without its partner.
    #[error("unexpected end of statement while looking for matching single-quote")]
    SingleQuote,
    /// A `"` without its partner.
    #[error("unexpected end of statement while looking for matching double-quote")]
    DoubleQuote,
    /// A `${` without `}`.
    #[error("syntax error: missing '}}'")]
    MissingBrace,
    /// A `${x/pattern` without a second `/`.
    #[error("syntax error: missing '/' in ${{}}")]
    MissingSlash,
    /// A `${}` without a name.
    #[error("syntax error: bad substitution")]
    BadSubstitution,
    /// `${x=y}` and other things that shells know.
    #[error("unsupported modifier ({modifier}) in substitution")]
    UnsupportedModifier {
        /// What follows the name.
        modifier: String,
    },
    /// A backslash in a pattern before something that needs none.
    #[error("invalid pattern ({pattern}) in substitution: invalid escape '\\{escaped}'")]
    InvalidPattern {
        /// The pattern.
        pattern: String,
        /// The character after the backslash; empty at the end.
        escaped: String,
    },
    /// A pattern larger than the matcher takes.
    #[error("invalid pattern ({pattern}) in substitution: too large")]
    PatternTooLarge {
        /// The pattern.
        pattern: String,
    },
    /// Substitutions in substitutions without end.
    #[error("substitutions are nested more than {NESTING_LIMIT} deep")]
    TooDeep,
    /// Variables that repeat each other grow without bound.
    #[error("expands to more than {} MiB", TEXT_LIMIT >> 20)]
    TooLong,
    /// `${x:?message}` and `x` is unset or empty.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// What the Dockerfile says about it.
        message: String,
    },
}

/// Expands a text: variables are replaced, quotes and escapes removed.
pub fn expand(text: &str, escape: char, env: &dyn Lookup) -> Result<Expanded, WordError> {
    lex(text, escape, Mode::Expand, env).map(lexer::Lexed::into_text)
}

/// Expands a text and splits the result: one variable may give several words, as `EXPOSE` needs it.
pub fn expand_words(text: &str, escape: char, env: &dyn Lookup) -> Result<ExpandedWords, WordError> {
    lex(text, escape, Mode::Expand, env).map(lexer::Lexed::into_words)
}

/// Expands a heredoc body: quotes mean nothing in it, and its escape character is always a backslash.
pub fn expand_body(body: &str, env: &dyn Lookup) -> Result<Expanded, WordError> {
    lex(body, '\\', Mode::Body, env).map(lexer::Lexed::into_text)
}

/// Expands the text of a command for display: quotes stay, and so does what is not set.
///
/// A text that is no valid word, which shell commands often are not, is shown as it is.
pub fn expand_for_display(text: &str, escape: char, env: &dyn Lookup) -> String {
    lex(text, escape, Mode::Display, env).map_or_else(|_| text.to_owned(), |lexed| lexed.into_text().text)
}
