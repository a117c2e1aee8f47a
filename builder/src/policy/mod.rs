//! Source policies: which images, files and repositories a build may use, and which others it uses instead.
//!
//! Format and meaning are BuildKit's (`version`, `rules` of `action`, `selector` and `updates`): the rules are asked in
//! their order about a place, which is named as `docker-image://…`, `http://…`, `git://…` or `local://…`. Among the
//! `ALLOW`s and `DENY`s that match, the last decides. A `CONVERT` that changes something ends the round, and the rules are
//! asked again about the place that it led to.
//!
//! Two things differ, both where BuildKit's rules do not do what they say: `EXACT` selectors convert too, and a rule
//! that has no identifier in its `updates` keeps that of the place, even where its selector has a wildcard.

mod error;
mod identity;
mod rule;

pub use error::{ConversionError, PolicyError, RuleError};
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

impl PolicyError {
    /// Says why a place cannot stand in for another.
    pub fn conversion(from: &Place, to: &Place, source: ConversionError) -> Self {
        Self::Conversion {
            from: Identity::of(from).shown(),
            to: Identity::of(to).shown(),
            source: Box::new(source),
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
            return Err(PolicyError::Version(written.version));
        }
        let rules = written.rules.into_iter().enumerate().map(|(index, rule)| {
            rule.compile().map_err(|source| PolicyError::Rule {
                number: index + 1,
                source,
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
                    let converted = identity.place(place).map_err(|source| PolicyError::Conversion {
                        from: first.shown(),
                        to: identity.shown(),
                        source: Box::new(source),
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
