//! Rules: as they are written, and as they are asked.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;

use super::identity::{ATTRIBUTES, Identity};

/// The longest name of a place that a rule may lead to, in bytes: a conversion may double a name, and the next one that.
const LONGEST: usize = 8192;

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
    action: Word,
    selector: WrittenSelector,
    updates: Option<Updates>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSelector {
    identifier: String,
    #[serde(default, rename = "match_type", alias = "matchType")]
    match_type: Word,
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
    condition: Word,
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

/// One of a few words, or its number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Word {
    Name(String),
    Number(usize),
}

impl Default for Word {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl Word {
    /// Returns which of the words it is.
    fn of(&self, names: [&str; 3]) -> Result<usize, String> {
        let known = match self {
            Self::Name(name) => names.iter().position(|known| known == name),
            Self::Number(number) => Some(*number).filter(|number| *number < names.len()),
        };
        known.ok_or_else(|| {
            let given = match self {
                Self::Name(name) => name.clone(),
                Self::Number(number) => number.to_string(),
            };
            format!("`{given}` is none of `{}`", names.join("`, `"))
        })
    }
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
    pub(super) fn compile(self) -> Result<Rule, String> {
        let action = match (self.action.of(["ALLOW", "DENY", "CONVERT"])?, self.updates) {
            (0, _) => Action::Allow,
            (1, _) => Action::Deny,
            (_, Some(updates)) => {
                if let Some(key) = updates.attrs.keys().find(|key| !ATTRIBUTES.contains(&key.as_str())) {
                    return Err(format!(
                        "croze cannot change the attribute `{key}`, only `{}`",
                        ATTRIBUTES.join("`, `")
                    ));
                }
                if updates.identifier.len() > LONGEST {
                    return Err(format!("no place has a name of more than {LONGEST} bytes"));
                }
                Action::Convert(updates)
            }
            (_, None) => return Err("`CONVERT` needs `updates`".to_owned()),
        };
        let selector = self.selector;
        let pattern = match selector.match_type.of(["WILDCARD", "EXACT", "REGEX"])? {
            0 => Pattern::Wildcard(wildcard(&selector.identifier)?),
            1 => Pattern::Exact,
            _ => Pattern::Regex(regex(&selector.identifier)?),
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
    fn compile(self) -> Result<Constraint, String> {
        let condition = match self.condition.of(["EQUAL", "NOTEQUAL", "MATCHES"])? {
            0 => Condition::Equal(self.value),
            1 => Condition::NotEqual(self.value),
            _ => Condition::Matches(regex(&self.value)?),
        };
        Ok(Constraint {
            key: self.key,
            condition,
        })
    }
}

fn regex(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| format!("`{text}` is not a regular expression: {error}"))
}

fn wildcard(text: &str) -> Result<Regex, String> {
    if text.contains("**") {
        return Err(format!("invalid wildcard: `{text}` has `**`"));
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

    /// Returns what a `CONVERT` makes of a place that matches; `${1}` is what the first wildcard or group stood for. `None`
    /// if that is too long.
    pub(super) fn converted(&self, identity: &Identity, updates: &Updates) -> Option<Identity> {
        let from = identity.identifier.as_str();
        let identifier = match &self.pattern {
            _ if updates.identifier.is_empty() => from.to_owned(),
            Pattern::Exact => updates.identifier.clone(),
            Pattern::Regex(pattern) => replaced(pattern, from, &updates.identifier)?,
            Pattern::Wildcard(pattern) => match pattern.captures(from) {
                Some(found) => {
                    let mut to = String::new();
                    found.expand(&updates.identifier, &mut to);
                    to
                }
                None => from.to_owned(),
            },
        };
        if identifier.len() > LONGEST {
            return None;
        }
        let mut attributes = identity.attributes.clone();
        attributes.extend(updates.attrs.clone());
        Some(Identity { identifier, attributes })
    }
}

/// Replaces all that matches, as [`Regex::replace_all`] does, but gives up when the result is too long.
fn replaced(pattern: &Regex, from: &str, replacement: &str) -> Option<String> {
    let (mut to, mut end) = (String::new(), 0);
    for found in pattern.captures_iter(from) {
        let whole = found.get(0)?;
        to.push_str(&from[end..whole.start()]);
        found.expand(replacement, &mut to);
        end = whole.end();
        if to.len() > LONGEST {
            return None;
        }
    }
    to.push_str(&from[end..]);
    Some(to)
}
