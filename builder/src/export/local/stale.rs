//! `mode=delete`: what the destination holds and no exported tree has.
//!
//! Removed before anything is written, so that nothing is in the way of what comes. No link is followed: one that no
//! tree has is removed itself.

use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, StatxFlags, statx};
use snapshotter::walk::{self, Next, Place, Visitor};
use snapshotter::{FsError, Root, Stat};

use crate::export::ExportError;

/// Removes from a directory whatever none of the trees has; each tree goes below the directory of its name, which is
/// empty for the directory itself. A file that is to become a directory, or the other way round, is removed as well.
pub fn remove_stale(directory: &Path, trees: &[(&str, &Root)]) -> Result<(), ExportError> {
    if !directory.try_exists().map_err(ExportError::io("stat", directory))? {
        return Ok(());
    }
    let destination = Root::open(directory)?;
    let mut search = Search {
        trees,
        stale: Vec::new(),
    };
    walk::walk(destination.open_dir(Path::new(""))?, &mut search)?;
    for path in &search.stale {
        destination.remove_tree(path)?;
    }
    Ok(())
}

struct Search<'t> {
    trees: &'t [(&'t str, &'t Root)],
    /// Paths below the destination, the topmost ones only.
    stale: Vec<PathBuf>,
}

impl Visitor for Search<'_> {
    type Error = ExportError;

    fn visit(&mut self, place: &Place<'_>) -> Result<Next, ExportError> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let stat = statx(place.dir, place.name, flags, StatxFlags::TYPE)
            .map_err(|errno| FsError::new("stat", place.path, errno))?;
        let is_directory = Stat::from(stat).is_dir();
        match self.expected(place.path)? {
            Some(true) if is_directory => Ok(Next::Enter(walk::open_dir(place)?)),
            Some(false) if !is_directory => Ok(Next::Pass),
            _ => {
                self.stale.push(place.path.to_owned());
                Ok(Next::Pass)
            }
        }
    }
}

impl Search<'_> {
    /// Tells whether a directory is going to be at a path; `None` if nothing is.
    fn expected(&self, path: &Path) -> Result<Option<bool>, FsError> {
        let mut expected = None;
        for (name, tree) in self.trees {
            let found = match path.strip_prefix(name) {
                Ok(below) if below.as_os_str().is_empty() => Some(true),
                Ok(below) => tree.stat(below, false)?.map(|stat| stat.is_dir()),
                Err(_) => None,
            };
            expected = expected.or(found);
        }
        Ok(expected)
    }
}
