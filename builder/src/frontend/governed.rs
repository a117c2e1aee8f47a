//! Source policies: what the names of a Dockerfile stand for once a policy has had its say.
//!
//! What a policy denies stays as it is until somebody asks for it: a stage that nobody needs may name it.

use super::failure::LowerError;
use super::request::{NamedContext, Request};
use super::source::{ImageSource, Source};
use crate::diagnostic::Span;
use crate::op::{LocalOp, Op};
use crate::policy::{ConversionError, Place, PolicyError};

/// Something that was to be used against the policy.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    /// What in the Dockerfile asks for it.
    pub(super) origin: Option<Span>,
    pub(super) error: PolicyError,
}

impl From<Refused> for LowerError {
    fn from(Refused { origin, error }: Refused) -> Self {
        Self::Policy { origin, error }
    }
}

impl Source {
    /// Returns the source that is to be used instead.
    pub(super) fn governed(self, request: &Request) -> Self {
        let Self::Image(image) = &self else { return self };
        let place = Place::Image(image.reference.clone());
        // Told when the image is resolved.
        let Ok(Some(place)) = request.policy.decide(&place) else {
            return self;
        };
        let context = || {
            let name = image.reference.familiar();
            let name = name.strip_suffix(":latest").unwrap_or(&name);
            image.context.clone().unwrap_or_else(|| name.to_owned())
        };
        match place {
            Place::Image(reference) => Self::Image(ImageSource {
                reference,
                ..image.clone()
            }),
            Place::Local(name) => Self::Local {
                context: context(),
                name,
            },
            Place::Remote(op) => Self::Remote { context: context(), op },
        }
    }
}

/// Returns the operation that is to be done instead of one that reads a source; `None` if it is the one itself.
pub(super) fn instead(op: &Op, request: &Request) -> Result<Option<Op>, PolicyError> {
    let place = match op {
        Op::Image(image) => Place::Image(image.reference.clone()),
        // Whoever finds the context asks about it: it may have been fetched.
        Op::Local(local) if local.name != "context" => Place::Local(local.name.clone()),
        Op::Http(_) | Op::Git(_) => Place::Remote(Box::new(op.clone())),
        _ => return Ok(None),
    };
    let other = match request.policy.decide(&place)? {
        None => None,
        Some(Place::Remote(op)) => Some(*op),
        Some(Place::Local(name)) => Some(Op::Local(LocalOp { name })),
        Some(converted @ Place::Image(_)) => {
            return Err(PolicyError::conversion(&place, &converted, ConversionError::Image));
        }
    };
    match other.as_ref().unwrap_or(op) {
        Op::Local(local) if !is_known(&local.name, request) => Err(PolicyError::NoContext(local.name.clone())),
        _ => Ok(other),
    }
}

fn is_known(name: &str, request: &Request) -> bool {
    let is_it = |context: &NamedContext| matches!(context, NamedContext::Local { name: known } if known == name);
    name == "context" || request.contexts.values().any(is_it)
}
