//! What people know a value's origins by: kept in its record so that a later miss can be told in their words.
//!
//! Aspects enter no key and decide nothing.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The changes that are named in a text; of more only the number is told.
const NAMED: usize = 5;

/// What a value was made from, by the names that people have for it.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Aspects {
    /// Of the operation: `command`, `argument VERSION`. Values that may be confidential are digests.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub definition: BTreeMap<String, String>,
    /// What the sources among the inputs were pinned to, by position.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<usize, String>,
    /// Digests of the files that were read of inputs, by position and path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<usize, BTreeMap<String, String>>,
}

/// A difference between two values' origins.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Change {
    /// What differs: an aspect or a path.
    pub what: String,
    /// How.
    pub kind: ChangeKind,
    /// What it was and what it is, where that can be told in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<(String, String)>,
}

/// How an aspect differs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is another.
    Changed,
    /// It was not there before.
    Added,
    /// It is not there any more.
    Removed,
}

impl Aspects {
    /// Returns how the operation differs from an older one.
    pub fn definition_changes(&self, old: &Self) -> Vec<Change> {
        changes(&old.definition, &self.definition)
    }

    /// Returns how the files that are read of an input differ from older ones.
    pub fn file_changes(&self, old: &Self, input: usize) -> Vec<Change> {
        match (old.files.get(&input), self.files.get(&input)) {
            (Some(old), Some(new)) => changes(old, new),
            _ => Vec::new(),
        }
    }

    /// Returns how a source among the inputs differs from an older one.
    pub fn source_changes(&self, old: &Self, input: usize) -> Vec<Change> {
        match (old.sources.get(&input), self.sources.get(&input)) {
            (Some(old), Some(new)) if old != new => vec![Change {
                what: "it".to_owned(),
                kind: ChangeKind::Changed,
                values: Some((old.clone(), new.clone())),
            }],
            _ => Vec::new(),
        }
    }
}

/// Marks a value as a digest of something that is not told.
pub fn hidden(digest: &registry::oci::Digest) -> String {
    format!("#{}", digest.short())
}

fn changes(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<Change> {
    let change = |what: &String, kind, values| Change {
        what: what.clone(),
        kind,
        values,
    };
    let is_told = |value: &str| !value.starts_with('#');
    let mut found: Vec<Change> = Vec::new();
    for (what, value) in new {
        match old.get(what) {
            None => found.push(change(what, ChangeKind::Added, None)),
            Some(before) if before != value => {
                let told = is_told(before) && is_told(value);
                let values = told.then(|| (before.clone(), value.clone()));
                found.push(change(what, ChangeKind::Changed, values));
            }
            Some(_) => {}
        }
    }
    let removed = old.keys().filter(|what| !new.contains_key(*what));
    found.extend(removed.map(|what| change(what, ChangeKind::Removed, None)));
    found
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.what.replace(char::is_control, " ");
        match (self.kind, &self.values) {
            (ChangeKind::Changed, Some((old, new))) => {
                let short = |text: &str| -> String {
                    let text = text.replace(char::is_control, " ");
                    match text.char_indices().nth(60) {
                        Some((end, _)) => format!("{}…", &text[..end]),
                        None => text,
                    }
                };
                write!(f, "{what} was `{}` and is `{}`", short(old), short(new))
            }
            (ChangeKind::Changed, None) => write!(f, "{what} has changed"),
            (ChangeKind::Added, _) => write!(f, "{what} is new"),
            (ChangeKind::Removed, _) => write!(f, "{what} is gone"),
        }
    }
}

/// Returns changes as a text for people; empty if there are none.
pub fn tell(changes: &[Change]) -> String {
    tell_some(changes, 0)
}

/// Does the same where there are `more` that only their number is known of.
pub fn tell_some(changes: &[Change], more: usize) -> String {
    let mut told: Vec<String> = changes.iter().take(NAMED).map(Change::to_string).collect();
    let untold = changes.len() - told.len() + more;
    if untold > 0 {
        told.push(format!("and {untold} more"));
    }
    told.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aspects(definition: &[(&str, &str)]) -> Aspects {
        let pairs = definition
            .iter()
            .map(|(what, value)| ((*what).to_owned(), (*value).to_owned()));
        Aspects {
            definition: pairs.collect(),
            ..Aspects::default()
        }
    }

    #[test]
    fn what_is_confidential_is_named_and_not_told() {
        let old = aspects(&[("command", "make"), ("argument TOKEN", "#1"), ("user", "a")]);
        let new = aspects(&[("command", "make\tall"), ("argument TOKEN", "#2"), ("network", "none")]);
        let told = tell(&new.definition_changes(&old));
        let expected = "argument TOKEN has changed, command was `make` and is `make all`, network is new, user is gone";
        assert_eq!(told, expected);
        assert_eq!(tell(&new.definition_changes(&new)), "");
    }

    #[test]
    fn of_many_changes_only_the_number_is_told() {
        let many: Vec<(String, String)> = (0..9).map(|n| (format!("f{n}"), String::new())).collect();
        let mut new = Aspects::default();
        new.files.insert(1, many.into_iter().collect());
        let mut old = Aspects::default();
        assert_eq!(new.file_changes(&old, 1), []);
        old.files.insert(1, BTreeMap::new());
        assert!(tell(&new.file_changes(&old, 1)).ends_with("f4 is new, and 4 more"));
        assert!(tell_some(&new.file_changes(&old, 1), 10).ends_with("f4 is new, and 14 more"));
        assert_eq!(new.file_changes(&old, 0), []);
    }
}
