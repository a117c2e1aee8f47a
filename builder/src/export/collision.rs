//! Files of several platforms in one directory: each name may come from one platform only.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use snapshotter::walk::{self, Next, Place, Visitor, open_dir};
use snapshotter::{FileType, Root};

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
                found: &mut found,
            },
        )?;
    }
    Ok(())
}

struct Names<'f, 'a> {
    platform: &'a str,
    /// The platform that each name came from.
    found: &'f mut HashMap<PathBuf, &'a str>,
}

impl Visitor for Names<'_, '_> {
    type Error = ExportError;

    fn visit(&mut self, place: &Place<'_>) -> Result<Next, ExportError> {
        if place.file_type == FileType::Directory {
            return Ok(Next::Enter(open_dir(place)?));
        }
        match self.found.insert(place.path.to_owned(), self.platform) {
            Some(other) => Err(ExportError::Collision {
                path: place.path.to_owned(),
                platform: self.platform.to_owned(),
                other: other.to_owned(),
            }),
            None => Ok(Next::Pass),
        }
    }
}
