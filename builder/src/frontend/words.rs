//! Expansion in a stage: words see its environment, and the observer hears of what they ask for in vain.

use super::lowering::Lowering;
use super::name::with_capital_keyword;
use super::observe::Seen;
use super::stage::OpenStage;
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::dockerfile::{Heredoc, nearest};

impl Lowering<'_> {
    /// Expands a word.
    pub(super) fn word(&self, word: &Spanned<String>, stage: &OpenStage) -> Result<String, Diagnostic> {
        let (text, unset) = self.expander.word(word, &stage.state.env)?;
        self.tell_of(&unset, word.span, stage);
        Ok(text)
    }

    /// Expands a word, if there is one and something is left of it.
    pub(super) fn optional_word(
        &self,
        word: Option<&Spanned<String>>,
        stage: &OpenStage,
    ) -> Result<Option<Spanned<String>>, Diagnostic> {
        let Some(word) = word else { return Ok(None) };
        let value = self.word(word, stage)?;
        Ok((!value.is_empty()).then(|| Spanned::new(value, word.span)))
    }

    /// Expands a word that may become several.
    pub(super) fn words(&self, word: &Spanned<String>, stage: &OpenStage) -> Result<Vec<String>, Diagnostic> {
        let (words, unset) = self.expander.words(word, &stage.state.env)?;
        self.tell_of(&unset, word.span, stage);
        Ok(words)
    }

    /// Expands the body of a heredoc.
    pub(super) fn body(&self, heredoc: &Heredoc, stage: &OpenStage) -> Result<String, Diagnostic> {
        let (text, unset) = self.expander.body(heredoc, &stage.state.env)?;
        self.tell_of(&unset, heredoc.span, stage);
        Ok(text)
    }

    /// Returns what progress calls an instruction that is not a command line.
    pub(super) fn title(&self, instruction: &str, stage: &OpenStage) -> String {
        with_capital_keyword(&self.expander.display(instruction.trim(), &stage.state.env))
    }

    /// Tells the observer of variables that nothing has set and no `ARG` has declared.
    fn tell_of(&self, unset: &[String], span: Span, stage: &OpenStage) {
        let declared = |name: &String| stage.state.args.iter().any(|arg| arg.name == *name);
        for name in unset.iter().filter(|name| !declared(name)) {
            let near = nearest(name, stage.state.env.names());
            self.see(Seen::Undefined { name, near, span });
        }
    }
}
