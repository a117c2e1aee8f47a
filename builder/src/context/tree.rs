//! Trees that files are taken from: a context directory in place, or a root file system.

use std::fmt;
use std::path::Path;

use snapshotter::Root;

use super::patterns::PathPatterns;

/// Files that can be selected.
pub struct Tree {
    root: Root,
    kind: TreeKind,
    ignored: Option<Box<dyn PathPatterns>>,
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
    /// Makes a tree of a context directory; what `ignored` matches is not seen.
    pub fn context(root: Root, ignored: Option<Box<dyn PathPatterns>>) -> Self {
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
            ignored: None,
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

    /// Returns the line of the ignore file that hides a path, if one does. The top is never hidden.
    pub fn hidden_by(&self, path: &Path) -> Option<usize> {
        let ignored = self.ignored.as_ref()?;
        if path.as_os_str().is_empty() {
            None
        } else {
            ignored.matched_by(&path.to_string_lossy())
        }
    }

    /// Returns whether something below a hidden directory may be seen.
    pub fn may_show_below(&self, dir: &Path) -> bool {
        self.ignored
            .as_ref()
            .is_none_or(|ignored| ignored.may_spare_below(&dir.to_string_lossy()))
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

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree")
            .field("root", &self.root)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
