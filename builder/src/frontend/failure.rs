//! Why lowering fails.

use std::error::Error;

use super::ResolveError;
use super::governed::Refused;
use crate::diagnostic::{Diagnostic, Span};
use crate::policy::PolicyError;

/// Why a Dockerfile could not be lowered.
#[derive(Debug)]
pub enum LowerError {
    /// The Dockerfile is wrong: everything that was found, in the order of stages.
    Dockerfile(Vec<Diagnostic>),
    /// An image that it names could not be resolved.
    Resolve {
        /// What to tell people: which image, and why.
        diagnostic: Box<Diagnostic>,
        /// Where it is named.
        span: Span,
        /// A stage or named context whose name is like the image's: perhaps that was meant.
        near: Option<String>,
        /// Why it could not be resolved.
        error: ResolveError,
    },
    /// The source policy is against it.
    Policy {
        /// What in the Dockerfile asks for the source.
        origin: Option<Span>,
        /// Why.
        error: PolicyError,
    },
}

impl LowerError {
    /// Returns what to tell people.
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        match self {
            Self::Dockerfile(diagnostics) => diagnostics,
            Self::Resolve { diagnostic, .. } => vec![*diagnostic],
            Self::Policy { origin, error } => {
                let diagnostic = Diagnostic::error(error.to_string());
                let diagnostic = match error.source() {
                    Some(cause) => diagnostic.because(cause),
                    None => diagnostic,
                };
                vec![match origin {
                    Some(span) => diagnostic.at(span, ""),
                    None => diagnostic,
                }]
            }
        }
    }
}

/// Why one stage could not be lowered.
#[derive(Debug)]
pub(super) enum Failure {
    /// The Dockerfile is wrong.
    Dockerfile(Box<Diagnostic>),
    /// An image could not be resolved.
    Resolve {
        diagnostic: Box<Diagnostic>,
        span: Span,
        near: Option<String>,
        error: ResolveError,
    },
    /// The source policy is against it.
    Policy(Refused),
    /// A stage that it is made from failed, which has been reported.
    Inherited,
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Dockerfile(Box::new(diagnostic))
    }
}
