//! Trees that files are taken from: a context directory in place, or a root file system.

use std::path::Path;

use snapshotter::Root;

use super::error::{SelectError, absolute};
use crate::dockerfile::ignore::{Descent, Matcher};

/// Files that can be selected.
#[derive(Debug)]
pub struct Tree {
    root: Root,
    kind: TreeKind,
    ignored: Matcher,
}

/// Where the files of a tree come from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TreeKind {
    /// A directory of the host: the build context or a named one.
    Context,
    /// A stage's or an image's.
    RootFs,
}

impl Tree {
    /// Makes a tree of a context directory, in which what its ignore file leaves out is not seen.
    pub fn context(root: Root, ignored: Matcher) -> Self {
        Self {
            root,
            kind: TreeKind::Context,
            ignored,
        }
    }

    /// Makes a tree of a mounted root file system.
    pub fn root_fs(root: Root) -> Self {
        Self {
            root,
            kind: TreeKind::RootFs,
            ignored: Matcher::default(),
        }
    }

    /// Returns the directory that nothing is read outside of.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Returns where the files come from.
    pub fn kind(&self) -> TreeKind {
        self.kind
    }

    /// Returns why a path is hidden, if it is. The top is never hidden.
    pub fn hidden_by(&self, path: &Path) -> Option<SelectError> {
        let decision = self.ignored.decide(path);
        let pattern = decision.pattern.filter(|_| decision.ignored)?;
        let path = absolute(path);
        Some(match pattern.line() {
            Some(line) => SelectError::Ignored { path, line },
            None => SelectError::Withheld { path },
        })
    }

    /// Returns what decides in a walk which paths are hidden: the ignore file, with a memory.
    pub fn hidden(&self) -> Descent<'_> {
        self.ignored.descent()
    }
}

impl TreeKind {
    /// Returns the tree's name in messages, after "the".
    pub fn name(self) -> &'static str {
        match self {
            Self::Context => "build context",
            Self::RootFs => "file system it is copied from",
        }
    }
}
