//! Substitution with places: errors point at the word in the Dockerfile.

use super::environment::Environment;
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::dockerfile::words::{self, Expanded, Lookup, WordError};
use crate::dockerfile::{Dockerfile, Heredoc};

impl Lookup for Environment {
    fn get(&self, name: &str) -> Option<&str> {
        Self::get(self, name)
    }
}

/// Expands words of one Dockerfile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expander {
    /// The `escape` directive.
    escape: char,
}

impl Expander {
    pub(super) fn new(dockerfile: &Dockerfile) -> Self {
        Self {
            escape: dockerfile.escape,
        }
    }

    /// Expands a word; also returns the variables in it that are not set.
    pub(super) fn word(self, word: &Spanned<String>, env: &Environment) -> Result<(String, Vec<String>), Diagnostic> {
        let expanded = words::expand(word, self.escape, env).map_err(|error| at(error, word, word.span))?;
        Ok((expanded.text, expanded.unset))
    }

    /// Expands a word of the global scope.
    pub(super) fn global(self, word: &str, env: &Environment) -> Result<Expanded, WordError> {
        words::expand(word, self.escape, env)
    }

    /// Expands a word that may become several; also returns the variables in it that are not set.
    pub(super) fn words(
        self,
        word: &Spanned<String>,
        env: &Environment,
    ) -> Result<(Vec<String>, Vec<String>), Diagnostic> {
        let expanded = words::expand_words(word, self.escape, env).map_err(|error| at(error, word, word.span))?;
        Ok((expanded.words, expanded.unset))
    }

    /// Expands the body of a heredoc, unless its word was quoted; also returns the variables that are not set.
    pub(super) fn body(self, heredoc: &Heredoc, env: &Environment) -> Result<(String, Vec<String>), Diagnostic> {
        if !heredoc.expand {
            return Ok((heredoc.body.clone(), Vec::new()));
        }
        let expanded =
            words::expand_body(&heredoc.body, env).map_err(|error| at(error, &heredoc.opener, heredoc.span))?;
        Ok((expanded.text, expanded.unset))
    }

    /// Expands an instruction for people to read; one that cannot be expanded stays as it is.
    pub(super) fn display(self, instruction: &str, env: &Environment) -> String {
        words::expand(instruction, self.escape, env).map_or_else(|_| instruction.to_owned(), |expanded| expanded.text)
    }

    /// Expands a command line for people to read: the shell's own quotes and variables stay.
    pub(super) fn display_command(self, command: &str, env: &Environment) -> String {
        words::expand_for_display(command, self.escape, env)
    }
}

fn at(error: WordError, word: &str, span: Span) -> Diagnostic {
    let message = match &error {
        // Its words are the Dockerfile's own.
        WordError::Required { .. } => error.to_string(),
        _ => format!("failed to process \"{word}\": {error}"),
    };
    Diagnostic::error(message).at(span, "")
}
