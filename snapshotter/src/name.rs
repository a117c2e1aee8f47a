//! Names of committed snapshots.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name under which a snapshot may be committed: 1 to 100 characters of `a-z`, `0-9`, `-` and `.`, of which the
/// first is a letter or digit.
///
/// The rule keeps every name one path component that is neither hidden nor special; names with `_` are the
/// store's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotName(String);

/// A string that cannot name a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` cannot name a snapshot: expected 1 to 100 of `a-z`, `0-9`, `-`, `.`, starting with a letter or digit", crate::Escaped(.0.as_bytes()))]
pub struct InvalidSnapshotName(String);

impl SnapshotName {
    /// Checks `name` against the rule.
    pub fn new(name: &str) -> Result<Self, InvalidSnapshotName> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        let starts_well = name.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit());
        if starts_well && name.len() <= 100 && name.bytes().all(allowed) {
            Ok(Self(name.to_owned()))
        } else {
            Err(InvalidSnapshotName(name.to_owned()))
        }
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SnapshotName {
    type Error = InvalidSnapshotName;

    fn try_from(name: String) -> Result<Self, InvalidSnapshotName> {
        Self::new(&name)
    }
}

impl From<SnapshotName> for String {
    fn from(name: SnapshotName) -> Self {
        name.0
    }
}

impl FromStr for SnapshotName {
    type Err = InvalidSnapshotName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::SnapshotName;

    #[test]
    fn a_name_is_one_plain_path_component() {
        for good in ["a", "0", "sha256-0123.abc", &"a".repeat(100)] {
            assert_eq!(SnapshotName::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            ".",
            "..",
            ".a",
            "-a",
            "a/b",
            "A",
            "a_b",
            "a\0",
            "ä",
            &"a".repeat(101),
        ] {
            assert!(SnapshotName::new(bad).is_err(), "{bad:?}");
        }
    }
}
