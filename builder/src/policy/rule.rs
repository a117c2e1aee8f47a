//! Rules: as they are written, and as they are asked.

use std::collections::BTreeMap;

use regex::Regex;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::error::RuleError;
use super::identity::{ATTRIBUTES, Identity};

/// A policy as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    #[serde(default)]
    pub(super) version: i64,
    #[serde(default)]
    pub(super) rules: Vec<WrittenRule>,
}

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenRule {
    #[serde(default)]
    action: Verb,
    selector: WrittenSelector,
    updates: Option<Updates>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSelector {
    identifier: String,
    #[serde(default, rename = "match_type", alias = "matchType")]
    match_type: Match,
    #[serde(default)]
    constraints: Vec<WrittenConstraint>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenConstraint {
    key: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    condition: Comparison,
}

/// What a `CONVERT` changes.
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Updates {
    #[serde(default)]
    identifier: String,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
}

/// What is to be done, as it is written.
#[derive(Clone, Copy, Default)]
enum Verb {
    #[default]
    Allow,
    Deny,
    Convert,
}

/// How identifiers are compared, as it is written.
#[derive(Clone, Copy, Default)]
enum Match {
    #[default]
    Wildcard,
    Exact,
    Regex,
}

/// How an attribute is compared, as it is written.
#[derive(Clone, Copy, Default)]
enum Comparison {
    #[default]
    Equal,
    NotEqual,
    Matches,
}

impl<'de> Deserialize<'de> for Verb {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = [("ALLOW", Self::Allow), ("DENY", Self::Deny), ("CONVERT", Self::Convert)];
        enumeration(deserializer, words)
    }
}

impl<'de> Deserialize<'de> for Match {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = [
            ("WILDCARD", Self::Wildcard),
            ("EXACT", Self::Exact),
            ("REGEX", Self::Regex),
        ];
        enumeration(deserializer, words)
    }
}

impl<'de> Deserialize<'de> for Comparison {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = [
            ("EQUAL", Self::Equal),
            ("NOTEQUAL", Self::NotEqual),
            ("MATCHES", Self::Matches),
        ];
        enumeration(deserializer, words)
    }
}

/// Reads one of a few words, or its number: enumerations of protobuf are written in both ways.
fn enumeration<'de, D, T>(deserializer: D, words: [(&str, T); 3]) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Copy,
{
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a word or its number")]
    enum Written {
        Word(String),
        Number(usize),
    }
    let (found, given) = match Written::deserialize(deserializer)? {
        Written::Word(word) => (words.iter().find(|(name, _)| *name == word), word),
        Written::Number(number) => (words.get(number), number.to_string()),
    };
    found.map(|(_, value)| *value).ok_or_else(|| {
        let known = words.map(|(name, _)| name).join("`, `");
        D::Error::custom(format_args!("`{given}` is none of `{known}`"))
    })
}

/// A rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) action: Action,
    pub(super) selector: Selector,
}

/// What becomes of a place that a rule selects.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Allow,
    Deny,
    Convert(Updates),
}

/// Which places a rule is about.
#[derive(Clone, Debug)]
pub(super) struct Selector {
    identifier: String,
    pattern: Pattern,
    constraints: Vec<Constraint>,
}

#[derive(Clone, Debug)]
enum Pattern {
    /// `*` stands for anything.
    Wildcard(Regex),
    Exact,
    Regex(Regex),
}

#[derive(Clone, Debug)]
struct Constraint {
    key: String,
    condition: Condition,
}

#[derive(Clone, Debug)]
enum Condition {
    Equal(String),
    NotEqual(String),
    Matches(Regex),
}

impl WrittenRule {
    /// Checks a rule; its patterns are compiled.
    pub(super) fn compile(self) -> Result<Rule, RuleError> {
        let action = match (self.action, self.updates) {
            (Verb::Allow, _) => Action::Allow,
            (Verb::Deny, _) => Action::Deny,
            (Verb::Convert, Some(updates)) => {
                if let Some(key) = updates.attrs.keys().find(|key| !ATTRIBUTES.contains(&key.as_str())) {
                    return Err(RuleError::Attribute(key.clone()));
                }
                Action::Convert(updates)
            }
            (Verb::Convert, None) => return Err(RuleError::NoUpdates),
        };
        let selector = self.selector;
        let pattern = match selector.match_type {
            Match::Wildcard => Pattern::Wildcard(wildcard(&selector.identifier)?),
            Match::Exact => Pattern::Exact,
            Match::Regex => Pattern::Regex(regex(&selector.identifier)?),
        };
        let constraints = selector.constraints.into_iter().map(WrittenConstraint::compile);
        Ok(Rule {
            action,
            selector: Selector {
                identifier: selector.identifier,
                pattern,
                constraints: constraints.collect::<Result<_, _>>()?,
            },
        })
    }
}

impl WrittenConstraint {
    fn compile(self) -> Result<Constraint, RuleError> {
        let condition = match self.condition {
            Comparison::Equal => Condition::Equal(self.value),
            Comparison::NotEqual => Condition::NotEqual(self.value),
            Comparison::Matches => Condition::Matches(regex(&self.value)?),
        };
        Ok(Constraint {
            key: self.key,
            condition,
        })
    }
}

fn regex(text: &str) -> Result<Regex, RuleError> {
    Regex::new(text).map_err(|source| RuleError::Regex {
        pattern: text.to_owned(),
        source,
    })
}

fn wildcard(text: &str) -> Result<Regex, RuleError> {
    if text.contains("**") {
        return Err(RuleError::Wildcard(text.to_owned()));
    }
    regex(&format!("^{}$", regex::escape(text).replace("\\*", "(.*)")))
}

impl Selector {
    /// Tells whether the rule is about a place.
    pub(super) fn matches(&self, identity: &Identity) -> bool {
        let constrained = self.constraints.iter().all(|constraint| {
            let value = identity.attributes.get(&constraint.key).map_or("", String::as_str);
            match &constraint.condition {
                Condition::Equal(wanted) => value == wanted,
                Condition::NotEqual(unwanted) => value != unwanted,
                Condition::Matches(pattern) => pattern.is_match(value),
            }
        });
        constrained
            && match &self.pattern {
                _ if self.identifier == identity.identifier => true,
                Pattern::Exact => false,
                Pattern::Wildcard(pattern) | Pattern::Regex(pattern) => pattern.is_match(&identity.identifier),
            }
    }

    /// Returns what a `CONVERT` makes of a place that matches; `${1}` is what the first wildcard or group stood for.
    pub(super) fn converted(&self, identity: &Identity, updates: &Updates) -> Identity {
        let from = identity.identifier.as_str();
        let identifier = match &self.pattern {
            _ if updates.identifier.is_empty() => from.to_owned(),
            Pattern::Exact => updates.identifier.clone(),
            Pattern::Regex(pattern) => pattern.replace_all(from, updates.identifier.as_str()).into_owned(),
            Pattern::Wildcard(pattern) => match pattern.captures(from) {
                Some(found) => {
                    let mut to = String::new();
                    found.expand(&updates.identifier, &mut to);
                    to
                }
                None => from.to_owned(),
            },
        };
        let mut attributes = identity.attributes.clone();
        attributes.extend(updates.attrs.clone());
        Identity { identifier, attributes }
    }
}
