//! The outcome of linting: warnings in order, and whether they fail the build.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::findings::Findings;
use super::rule::Rule;
use crate::diagnostic::{Diagnostic, SourceFile, Span};

/// One warning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// The rule.
    pub rule: &'static Rule,
    /// What is odd here.
    pub detail: String,
    /// The instruction.
    pub instruction: Span,
    /// What exactly in it.
    pub span: Span,
}

impl Warning {
    /// Returns the warning for people: in one line as BuildKit has it, with the rest beside it.
    pub fn diagnostic(&self, source: &Arc<SourceFile>) -> Diagnostic {
        let (line, _) = source.lines(self.instruction);
        let message = format!("{}: {} (line {line})", self.rule.name, self.detail);
        let diagnostic = Diagnostic::warning(message).in_file(source).at(self.span, "");
        let diagnostic = diagnostic.of_rule().note(self.rule.description);
        match self.rule.url() {
            Some(url) => diagnostic.more_at(url),
            None => diagnostic,
        }
    }
}

/// What was found in a Dockerfile.
#[derive(Clone, Debug)]
pub struct Report {
    /// The Dockerfile.
    pub source: Arc<SourceFile>,
    /// The warnings, in the order of the file.
    pub warnings: Vec<Warning>,
    fails: bool,
}

impl Report {
    pub(super) fn new(findings: Findings, source: &Arc<SourceFile>) -> Self {
        let mut warnings = findings.warnings;
        warnings.sort_by_key(|warning| (source.lines(warning.instruction).0, warning.rule.name));
        Self {
            source: Arc::clone(source),
            warnings,
            fails: findings.options.fails,
        }
    }

    /// Returns the error that the warnings amount to, if the Dockerfile wants it so: `error=true`.
    pub fn violation(&self) -> Option<Diagnostic> {
        if !self.fails || self.warnings.is_empty() {
            return None;
        }
        let rules: BTreeSet<&str> = self.warnings.iter().map(|warning| warning.rule.name).collect();
        let rules: Vec<&str> = rules.into_iter().collect();
        let message = format!("lint violation found for rules: {}", rules.join(", "));
        let error = Diagnostic::error(message).in_file(&self.source);
        let mark = |error: Diagnostic, warning: &Warning| error.at(warning.span, warning.rule.name);
        Some(self.warnings.iter().fold(error, mark))
    }
}
