//! Where a path of a tree leads, link by link.
//!
//! The kernel resolves paths inside a root as well, but says neither which link led astray nor where a path that
//! does not exist yet would be. This is for the few paths that a Dockerfile names; everything found below them is
//! opened by name alone and never followed.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::readlinkat;
use snapshotter::{FileType, FsError, Root, Stat};

/// Number of links that one path may pass through; the kernel's own number.
const MAX_LINKS: usize = 40;

/// What a path leads to.
pub(crate) struct Resolved {
    /// The path from the root without links, `.` and `..`; empty for the root itself.
    pub(crate) path: PathBuf,
    /// What is there, which is never a link; `None` if nothing is.
    pub(crate) stat: Option<Stat>,
    /// The links that were followed, in order.
    pub(crate) links: Vec<Link>,
}

/// A link that was followed.
pub(crate) struct Link {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What it says.
    pub(crate) target: PathBuf,
    /// Whether what it says, taken literally, is not below the root.
    pub(crate) leaves: bool,
}

/// Why a path leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    /// More than [`MAX_LINKS`] links.
    #[error("too many levels of symbolic links")]
    TooManyLinks,
    /// The tree cannot be read.
    #[error(transparent)]
    Unreadable(#[from] FsError),
}

/// Follows a path from the root, where absolute links and `..` stay inside.
pub(crate) fn resolve(root: &Root, path: &Path) -> Result<Resolved, ResolveError> {
    let mut rest = names(path);
    let mut resolved = Resolved {
        path: PathBuf::new(),
        stat: root.stat(Path::new(""), false)?,
        links: Vec::new(),
    };
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            let left = !resolved.path.pop();
            if let (true, Some(link)) = (left, resolved.links.last_mut()) {
                link.leaves = true;
            }
            resolved.stat = root.stat(&resolved.path, false)?;
            continue;
        }
        let candidate = resolved.path.join(&name);
        let stat = match resolved.stat {
            Some(_) => root.stat(&candidate, false)?,
            None => None,
        };
        if stat.is_some_and(|stat| stat.file_type == FileType::Symlink) {
            if resolved.links.len() == MAX_LINKS {
                return Err(ResolveError::TooManyLinks);
            }
            let target = read_link(root, &candidate)?;
            let leaves = target.is_absolute();
            if leaves {
                resolved.path = PathBuf::new();
            }
            for name in names(&target).into_iter().rev() {
                rest.push_front(name);
            }
            resolved.links.push(Link {
                path: candidate,
                target,
                leaves,
            });
            resolved.stat = root.stat(&resolved.path, false)?;
        } else {
            resolved.path = candidate;
            resolved.stat = stat;
        }
    }
    Ok(resolved)
}

fn names(path: &Path) -> VecDeque<OsString> {
    let name = |component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(name).collect()
}

fn read_link(root: &Root, path: &Path) -> Result<PathBuf, FsError> {
    let (parent, name) = root.parent(path)?;
    let target =
        readlinkat(parent, name.as_bytes(), Vec::new()).map_err(|errno| FsError::new("read link", path, errno))?;
    Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
}
