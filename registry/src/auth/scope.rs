//! Scopes: what a token is asked for (`repository:NAME:ACTIONS`, distribution-spec's token authentication).

use std::collections::BTreeSet;
use std::fmt;

/// One resource and what may be done with it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Scope(String);

/// The scopes of one token; a cross-repository mount needs two.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(crate) struct ScopeSet(BTreeSet<Scope>);

impl ScopeSet {
    /// May read `repository`.
    pub(crate) fn pull(repository: &str) -> Self {
        Self(BTreeSet::from([Scope(format!("repository:{repository}:pull"))]))
    }

    /// May read and write `repository`.
    pub(crate) fn push(repository: &str) -> Self {
        Self(BTreeSet::from([Scope(format!("repository:{repository}:pull,push"))]))
    }

    /// May read `repository` and delete from it.
    pub(crate) fn delete(repository: &str) -> Self {
        Self(BTreeSet::from([Scope(format!("repository:{repository}:pull,delete"))]))
    }

    /// Adds the scopes of `other`.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Adds what a challenge asks for beyond this: registries that serve a repository under another name say
    /// so only there. Anything that is not access to a repository is left out.
    pub(crate) fn with_challenge(mut self, scopes: &str) -> Self {
        let asked = scopes
            .split_ascii_whitespace()
            .filter(|scope| scope.starts_with("repository:"));
        self.0.extend(asked.take(4).map(|scope| Scope(scope.to_owned())));
        self
    }

    /// Returns the scopes in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|scope| scope.0.as_str())
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iter().collect::<Vec<_>>().join(" "))
    }
}
