//! Why nothing is where a source points, and what was perhaps meant.

use std::path::{Path, PathBuf};

use super::collect::visible_names;
use crate::context::error::{SelectError, absolute};
use crate::context::resolve::Resolved;
use crate::context::tree::{Tree, TreeKind};
use crate::dockerfile::nearest;

/// Explains a path that leads to nothing.
pub(super) fn explain(tree: &Tree, resolved: &Resolved) -> Result<SelectError, SelectError> {
    let Some(link) = resolved.links.last() else {
        return not_found(tree, &resolved.path);
    };
    let (path, target) = (absolute(&link.path), link.target.clone());
    Ok(match tree.kind() {
        // In a root file system an absolute link is an ordinary one.
        TreeKind::Context if link.leaves => SelectError::LinkOutside {
            link: path,
            target,
            tree: tree.kind().name(),
        },
        _ => SelectError::DanglingLink { link: path, target },
    })
}

/// Explains why nothing is selected at or below a path that is there; `None` if that may be so, as in an empty
/// directory. `required` must have been found below it.
pub(super) fn explain_bare(
    tree: &Tree,
    origin: &Path,
    required: Option<&str>,
) -> Result<Option<SelectError>, SelectError> {
    if let Some(hidden) = tree.hidden_by(origin) {
        return Ok(Some(hidden));
    }
    let Some(required) = required else { return Ok(None) };
    let wanted = origin.join(required);
    match tree.hidden_by(&wanted) {
        Some(hidden) if tree.root().stat(&wanted, false)?.is_some() => Ok(Some(hidden)),
        _ => not_found(tree, &wanted).map(Some),
    }
}

/// Reports that nothing is at a path, with the most similar name of the last directory that exists.
pub(super) fn not_found(tree: &Tree, path: &Path) -> Result<SelectError, SelectError> {
    let near = similar(tree, path)?.map(|path| path.to_string_lossy().into_owned());
    Ok(SelectError::NotFound {
        path: absolute(path),
        tree: tree.kind().name(),
        near,
    })
}

fn similar(tree: &Tree, path: &Path) -> Result<Option<PathBuf>, SelectError> {
    let mut missing = path;
    while let Some(parent) = missing.parent() {
        if tree.root().stat(parent, true)?.is_some_and(|stat| stat.is_dir()) {
            let name = missing.file_name().unwrap_or_default().to_string_lossy();
            let names = visible_names(tree, parent)?;
            let rest = path.strip_prefix(missing).unwrap_or(Path::new(""));
            let similar = nearest(&name, names.iter().map(String::as_str));
            return Ok(similar.map(|similar| parent.join(similar).components().chain(rest.components()).collect()));
        }
        missing = parent;
    }
    Ok(None)
}
