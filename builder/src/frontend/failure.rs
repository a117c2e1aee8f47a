//! Why lowering fails.

use super::ResolveError;
use crate::diagnostic::Diagnostic;

/// Why a Dockerfile could not be lowered.
#[derive(Debug)]
pub enum LowerError {
    /// The Dockerfile is wrong: everything that was found, in the order of stages.
    Dockerfile(Vec<Diagnostic>),
    /// An image that it names could not be resolved.
    Image {
        /// Where it is named.
        diagnostic: Box<Diagnostic>,
        /// Why it could not be resolved.
        source: ResolveError,
    },
}

impl LowerError {
    /// Returns what to tell people.
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        match self {
            Self::Dockerfile(diagnostics) => diagnostics,
            Self::Image { diagnostic, .. } => vec![*diagnostic],
        }
    }
}

/// Why one stage could not be lowered.
#[derive(Debug)]
pub(super) enum Failure {
    /// The Dockerfile is wrong.
    Dockerfile(Box<Diagnostic>),
    /// An image could not be resolved.
    Image(Box<Diagnostic>, ResolveError),
    /// A stage that it is made from failed, which has been reported.
    Inherited,
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Dockerfile(Box::new(diagnostic))
    }
}
