//! Files of several platforms in one directory: each name may come from one platform only.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use snapshotter::walk::{self, Next, Place, Visitor, open_dir};
use snapshotter::{FileType, FsError, Root};

use super::ExportError;

/// Fails if two trees have something other than a directory under the same name.
///
/// To be asked before anything is written; the trees bear the names of their platforms.
pub fn refuse_collisions<'a>(trees: impl IntoIterator<Item = (&'a str, &'a Root)>) -> Result<(), ExportError> {
    let mut found = HashMap::new();
    for (platform, tree) in trees {
        let start = tree.open_dir(Path::new(""))?;
        walk::walk(
            start,
            &mut Names {
                platform,
                tree,
                found: &mut found,
            },
        )?;
    }
    Ok(())
}

struct Names<'f, 'a> {
    platform: &'a str,
    tree: &'a Root,
    /// The platform that each name came from, and whether it is a directory's.
    found: &'f mut HashMap<PathBuf, (&'a str, bool)>,
}

impl Visitor for Names<'_, '_> {
    type Error = ExportError;

    fn visit(&mut self, place: &Place<'_>) -> Result<Next, ExportError> {
        let is_directory = match place.file_type {
            FileType::Unknown => {
                let stat = self.tree.inodes().stat_at(place.dir, place.name.to_bytes());
                stat.map_err(|errno| FsError::new("stat", place.path, errno))?.is_dir()
            }
            known => known == FileType::Directory,
        };
        match self.found.insert(place.path.to_owned(), (self.platform, is_directory)) {
            Some((other, was_directory)) if !(is_directory && was_directory) => Err(ExportError::Collision {
                path: place.path.to_owned(),
                platform: self.platform.to_owned(),
                other: other.to_owned(),
            }),
            _ if is_directory => Ok(Next::Enter(open_dir(place)?)),
            _ => Ok(Next::Pass),
        }
    }
}
