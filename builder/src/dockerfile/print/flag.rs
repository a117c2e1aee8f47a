//! `--name=value`, and the ways to write its value.

use crate::diagnostic::Spanned;

/// A flag to print.
pub(super) struct Flag {
    name: &'static str,
    value: String,
}

/// How to write values with blanks, quotes and escape characters in them.
///
/// Two readers see a flag: the one of flags, and the one that looks through the whole line for heredocs. They differ
/// about escapes: to the second one, the character is always a backslash and means nothing between single quotes. So
/// the same value may show or hide a heredoc, or be no valid word, which makes the second reader find none at all.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spelling {
    /// As it is, or in double quotes where it must be.
    Plain,
    /// In quotes that both readers see alike.
    Closed,
    /// Without quotes.
    Escaped,
    /// In single quotes with escaped ones among them, of which only the first reader knows.
    Open,
}

impl Spelling {
    /// All of them; the first is the one to read.
    pub(super) const ALL: [Self; 4] = [Self::Plain, Self::Closed, Self::Escaped, Self::Open];
}

impl Flag {
    pub(super) fn new(name: &'static str, value: &str) -> Self {
        Self {
            name,
            value: value.to_owned(),
        }
    }

    /// Makes a flag of a value, if there is one.
    pub(super) fn given(name: &'static str, value: Option<&Spanned<String>>) -> Option<Self> {
        value.map(|value| Self::new(name, value))
    }

    /// Makes a flag of a switch, if it is set.
    pub(super) fn switch(name: &'static str, value: Option<bool>) -> Option<Self> {
        value.map(|value| Self::new(name, if value { "true" } else { "false" }))
    }

    /// Returns the flag as text.
    pub(super) fn spelt(&self, spelling: Spelling, escape: char) -> String {
        let special = |c: char| c.is_whitespace() || matches!(c, '\'' | '"') || c == escape;
        let value = match spelling {
            Spelling::Plain if !self.value.contains(special) => self.value.clone(),
            Spelling::Plain => format!("\"{}\"", escaped(&self.value, |c| c == '"' || c == escape, escape)),
            Spelling::Closed => {
                let parts = self.value.split('\'');
                let quoted = parts.map(|part| format!("'{}'", escaped(part, |c| c == escape, escape)));
                quoted.collect::<Vec<_>>().join("\"'\"")
            }
            Spelling::Escaped => escaped(&self.value, special, escape),
            Spelling::Open => format!("'{}'", escaped(&self.value, |c| c == '\'' || c == escape, escape)),
        };
        format!("--{}={value}", self.name)
    }
}

fn escaped(text: &str, special: impl Fn(char) -> bool, escape: char) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if special(c) {
            out.push(escape);
        }
        out.push(c);
    }
    out
}
