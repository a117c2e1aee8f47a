//! What is said to people about their files: spans, source files and messages that point into them.
//!
//! Libraries make a [`Diagnostic`]; only `cli` renders it.

mod chain;
mod source_file;
mod span;
mod suggest;

use std::sync::Arc;

pub use chain::chain;
pub use source_file::SourceFile;
pub use span::{Span, Spanned};
pub use suggest::{did_you_mean, nearest};

/// How bad a diagnostic is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// The build goes on.
    Warning,
    /// The build cannot go on.
    Error,
}

/// A message about a source file, with the places it speaks of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A lower-case fragment without a full stop; literals in backticks.
    pub message: String,
    /// Whether the message begins with the name of the rule that it follows from, and a colon.
    pub names_rule: bool,
    /// The file that the labels point into.
    pub source: Option<Arc<SourceFile>>,
    /// Places in the source; the first is the primary one.
    pub labels: Vec<Label>,
    /// Further facts, one a line.
    pub notes: Vec<String>,
    /// What to do about it.
    pub help: Option<Box<str>>,
    /// Where to read more.
    pub url: Option<Box<str>>,
}

/// A place in the source and what is the matter there (may be empty).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What; empty for a bare caret.
    pub text: String,
}

impl Diagnostic {
    /// Makes an error that points nowhere yet.
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            names_rule: false,
            source: None,
            labels: Vec::new(),
            notes: Vec::new(),
            help: None,
            url: None,
        }
    }

    /// Makes a warning that points nowhere yet.
    pub fn warning(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(message)
        }
    }

    /// Makes a warning of what an error comes to, told in one line with the error; deeper causes are facts.
    pub fn consequence(what: &str, error: &dyn std::error::Error) -> Self {
        let warning = Self::warning(format!("{what}: {error}"));
        match error.source() {
            Some(cause) => warning.because(cause),
            None => warning,
        }
    }

    /// Says that the message begins with the name of a rule.
    #[must_use]
    pub fn of_rule(mut self) -> Self {
        self.names_rule = true;
        self
    }

    /// Returns the rule that it follows from, if it does, and the rest of the message.
    pub fn rule(&self) -> (Option<&str>, &str) {
        match self.message.split_once(": ") {
            Some((rule, rest)) if self.names_rule => (Some(rule), rest),
            _ => (None, &self.message),
        }
    }

    /// Points at a place.
    #[must_use]
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// Says into which file the labels point.
    #[must_use]
    pub fn in_file(mut self, source: &Arc<SourceFile>) -> Self {
        self.source = Some(Arc::clone(source));
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds why an error came about, from its own message down to its first cause.
    #[must_use]
    pub fn because(mut self, error: &dyn std::error::Error) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            self.notes.push(format!("because: {error}"));
            cause = error.source();
        }
        self
    }

    /// Says where to read more.
    #[must_use]
    pub fn more_at(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into().into_boxed_str());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into().into_boxed_str());
        self
    }
}
