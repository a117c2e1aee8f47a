//! Source policies: which images, files and repositories a build may use, and which others it uses instead.
//!
//! Format and meaning are BuildKit's (`version`, `rules` of `action`, `selector` and `updates`): the rules are asked in
//! their order about a place, which is named as `docker-image://…`, `http://…`, `git://…` or `local://…`. Among the
//! `ALLOW`s and `DENY`s that match, the last decides. A `CONVERT` that changes something ends the round, and the rules are
//! asked again about the place that it led to.
//!
//! Two things differ, both where BuildKit's rules do not do what they say: `EXACT` selectors convert too, and a rule
//! that has no identifier in its `updates` keeps that of the place, even where its selector has a wildcard.

mod identity;
mod rule;

use identity::Identity;
pub use identity::Place;
use rule::{Action, Rule, Written};

/// How many conversions one place may go through.
const MAX_CONVERSIONS: usize = 20;

/// The rules; none by default.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    rules: Vec<Rule>,
}

/// Why a policy cannot be used, or forbids something.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PolicyError {
    /// The text is not of the format.
    #[error("not a source policy: {0}")]
    Format(String),
    /// A rule makes no sense.
    #[error("rule {number} of the source policy: {problem}")]
    Rule {
        /// Which, counted from 1.
        number: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The place must not be used.
    #[error("source {0:?} denied by policy")]
    Denied(String),
    /// The rules go in circles.
    #[error("too many mutations on a single source: {0:?}")]
    TooMany(String),
    /// The rules make a name longer and longer.
    #[error("the source policy makes too long a name of {0:?}")]
    TooLong(String),
    /// A rule leads to what cannot stand in for the place.
    #[error("the source policy converts {from:?} to {to:?}: {problem}")]
    Conversion {
        /// The place.
        from: String,
        /// Where the rule leads.
        to: String,
        /// Why it cannot be used.
        problem: String,
    },
    /// A rule leads to a context that is not given.
    #[error("the source policy converts to the context {0:?}, which is not given")]
    NoContext(String),
}

impl PolicyError {
    /// Says why a place cannot stand in for another.
    pub fn conversion(from: &Place, to: &Place, problem: impl Into<String>) -> Self {
        Self::Conversion {
            from: Identity::of(from).shown(),
            to: Identity::of(to).shown(),
            problem: problem.into(),
        }
    }
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// If it is not of the format: what is misspelt would not be enforced.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let written: Written = serde_json::from_str(text).map_err(|error| PolicyError::Format(error.to_string()))?;
        if !matches!(written.version, 0 | 1) {
            let problem = format!("version {} is not known", written.version);
            return Err(PolicyError::Format(problem));
        }
        let rules = written.rules.into_iter().enumerate().map(|(index, rule)| {
            rule.compile().map_err(|problem| PolicyError::Rule {
                number: index + 1,
                problem,
            })
        });
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
        })
    }

    /// Returns the place that is to be used instead; `None` if it is the place itself.
    ///
    /// # Errors
    /// If no place is to be used, or one that croze has no way to.
    pub fn decide(&self, place: &Place) -> Result<Option<Place>, PolicyError> {
        if self.rules.is_empty() {
            return Ok(None);
        }
        let first = Identity::of(place);
        let mut identity = first.clone();
        for _ in 0..=MAX_CONVERSIONS {
            match self.round(&identity)? {
                Some(next) => identity = next,
                None if identity == first => return Ok(None),
                None => {
                    let converted = identity.place(place).map_err(|problem| PolicyError::Conversion {
                        from: first.shown(),
                        to: identity.shown(),
                        problem,
                    })?;
                    return Ok(Some(converted));
                }
            }
        }
        Err(PolicyError::TooMany(first.shown()))
    }

    /// Asks each rule once; returns what the place became if one changed it.
    fn round(&self, identity: &Identity) -> Result<Option<Identity>, PolicyError> {
        let mut is_denied = false;
        for rule in self.rules.iter().filter(|rule| rule.selector.matches(identity)) {
            match &rule.action {
                Action::Allow => is_denied = false,
                Action::Deny => is_denied = true,
                Action::Convert(updates) => {
                    let next = rule.selector.converted(identity, updates);
                    let next = next.ok_or_else(|| PolicyError::TooLong(identity.shown()))?;
                    if next != *identity {
                        return Ok(Some(next));
                    }
                }
            }
        }
        if is_denied {
            return Err(PolicyError::Denied(identity.shown()));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
