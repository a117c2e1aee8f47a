//! Expanding a wildcard, level by level.
//!
//! Links before the first wildcard are followed inside the tree; between wildcards they are not, and what matches
//! last may be one. The paths come in the order of their names.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use snapshotter::walk::{self, Next, Place, Visitor};
use snapshotter::{FileType, FsError};

use crate::context::error::{SelectError, absolute};
use crate::context::resolve::{ResolveError, resolve};
use crate::context::tree::Tree;
use crate::dockerfile::ignore::Descent;
use crate::dockerfile::wildcard::{Wildcard, has_wildcards};

/// Returns the paths that match, which can be none.
pub(super) fn expand(tree: &Tree, pattern: &Path) -> Result<Vec<PathBuf>, SelectError> {
    let names: Vec<String> = pattern.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    let plain = names.iter().take_while(|name| !has_wildcards(name)).count();
    let bad = |_| SelectError::BadPattern {
        pattern: pattern.to_string_lossy().into_owned(),
    };
    let levels: Vec<_> = names[plain..]
        .iter()
        .map(|name| Wildcard::parse(name))
        .collect::<Result<_, _>>()
        .map_err(bad)?;
    let base: PathBuf = names[..plain].iter().collect();
    let resolved = resolve(tree.root(), &base).map_err(|error| match error {
        ResolveError::TooManyLinks => SelectError::TooManyLinks { path: absolute(&base) },
        ResolveError::Unreadable(error) => error.into(),
    })?;
    if !resolved.stat.is_some_and(|stat| stat.is_dir()) {
        return Ok(Vec::new());
    }
    let mut expander = Expander {
        tree,
        hidden: tree.hidden(),
        base: &resolved.path,
        levels: &levels,
        found: Vec::new(),
    };
    walk::walk(tree.root().open_dir(&resolved.path)?, &mut expander)?;
    Ok(expander.found)
}

struct Expander<'a> {
    tree: &'a Tree,
    hidden: Descent<'a>,
    base: &'a Path,
    /// One for each level below the base.
    levels: &'a [Wildcard],
    found: Vec<PathBuf>,
}

impl Visitor for Expander<'_> {
    type Error = FsError;

    fn visit(&mut self, place: &Place<'_>) -> Result<Next, FsError> {
        let depth = place
            .path
            .as_os_str()
            .as_bytes()
            .iter()
            .filter(|&&byte| byte == b'/')
            .count();
        if !self.levels[depth].matches(&place.name.to_string_lossy()) {
            return Ok(Next::Pass);
        }
        let path = self.base.join(place.path);
        let hidden = self.hidden.ignores(&path);
        let is_last = depth + 1 == self.levels.len();
        if is_last && !hidden {
            self.found.push(path);
            return Ok(Next::Pass);
        }
        if hidden && self.hidden.ignores_all_below(&path) || !is_directory(self.tree, place.file_type, &path)? {
            return Ok(Next::Pass);
        }
        if is_last {
            self.found.push(path);
            return Ok(Next::Pass);
        }
        Ok(Next::Enter(walk::open_dir(place)?))
    }
}

fn is_directory(tree: &Tree, listed: FileType, path: &Path) -> Result<bool, FsError> {
    match listed {
        FileType::Directory => Ok(true),
        FileType::Unknown => Ok(tree.root().stat(path, false)?.is_some_and(|stat| stat.is_dir())),
        _ => Ok(false),
    }
}
