//! `--name=value`, as it is read back.

use crate::diagnostic::Spanned;

/// A flag to print.
pub(super) struct Flag {
    name: &'static str,
    value: String,
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

    /// Returns the flag as text, the value in double quotes where it must be.
    pub(super) fn text(&self, escape: char) -> String {
        let Self { name, value } = self;
        let special = |c: char| c.is_whitespace() || matches!(c, '\'' | '"') || c == escape;
        if !value.contains(special) {
            return format!("--{name}={value}");
        }
        let mut text = format!("--{name}=\"");
        for c in value.chars() {
            if c == '"' || c == escape {
                text.push(escape);
            }
            text.push(c);
        }
        text + "\""
    }
}
