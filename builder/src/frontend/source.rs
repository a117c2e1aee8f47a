//! Where files come from: what the names in `FROM`, `--from` and `--mount=from=` stand for.

use registry::oci::{Platform, Reference};

use super::request::{NamedContext, Request};
use crate::diagnostic::{Diagnostic, Spanned};
use crate::op::Op;

/// A place that files come from, other than the build context.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// An earlier stage of the Dockerfile, by number.
    Stage(usize),
    /// An image.
    Image(ImageSource),
    /// The files of a named context.
    Local {
        /// The name that it was asked for by.
        context: String,
        /// The name that the evaluator knows it by.
        name: String,
    },
    /// The files of a named context on the network.
    Remote {
        /// The name that it was asked for by.
        context: String,
        /// What fetches them.
        op: Box<Op>,
    },
    /// No files at all.
    Scratch,
}

/// An image as a source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ImageSource {
    /// The reference, not yet pinned.
    pub(super) reference: Reference,
    /// For which platform.
    pub(super) platform: Platform,
    /// The named context that it was given for, if it was.
    pub(super) context: Option<String>,
}

impl Source {
    /// Finds out what a name stands for that is not that of a stage: a named context, `scratch` or an image.
    pub(super) fn outside(name: &Spanned<String>, platform: &Platform, request: &Request) -> Result<Self, Diagnostic> {
        if let Some((context, given)) = request.context(name, platform) {
            return Ok(Self::named(context, given, platform).governed(request));
        }
        if name.value == "scratch" {
            return Ok(Self::Scratch);
        }
        match name.parse() {
            Ok(reference) => {
                let image = ImageSource {
                    reference,
                    platform: platform.clone(),
                    context: None,
                };
                Ok(Self::Image(image).governed(request))
            }
            Err(error) => {
                let message = format!("failed to parse stage name \"{}\"", name.value);
                let refused = Diagnostic::error(message).at(name.span, "").note(error.to_string());
                Err(if name.eq_ignore_ascii_case("scratch") {
                    refused.help("write `scratch` in lower case")
                } else {
                    refused
                })
            }
        }
    }

    /// Returns what a named context stands for.
    pub(super) fn named(context: String, given: &NamedContext, platform: &Platform) -> Self {
        match given {
            NamedContext::Local { name } => Self::Local {
                context,
                name: name.clone(),
            },
            NamedContext::Remote(op) => Self::Remote {
                context,
                op: op.clone(),
            },
            NamedContext::Image(reference) => Self::Image(ImageSource {
                reference: reference.clone(),
                platform: platform.clone(),
                context: Some(context),
            }),
            NamedContext::Scratch => Self::Scratch,
        }
    }

    /// Tells whether files keep their owners on the way: those of contexts become root's.
    pub(super) fn keeps_owner(&self) -> bool {
        matches!(self, Self::Stage(_) | Self::Image(_))
    }
}
