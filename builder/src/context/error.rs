//! Why files of a tree could not be selected.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use snapshotter::{Escaped, FsError};

/// Why a selection failed.
///
/// Paths are those of the tree, with a slash in front, as in BuildKit's messages.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// A path that is not a wildcard, and names nothing.
    #[error("\"{}\": not found in the {tree}", Shown(path))]
    NotFound {
        /// The path, links followed as far as they lead.
        path: PathBuf,
        /// What kind of tree it was looked for in.
        tree: &'static str,
        /// The most similar name beside it that can be copied.
        near: Option<String>,
    },
    /// A path that exists but must not be seen.
    #[error(
        "\"{}\": not found in the build context: line {line} of the ignore file hides it",
        Shown(path)
    )]
    Ignored {
        /// The path.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// Where croze keeps its state, which no image has.
    #[error("\"{}\" is croze's own state directory", Shown(path))]
    Withheld {
        /// The path.
        path: PathBuf,
    },
    /// A link that leads out of the tree, to nothing in it.
    #[error(
        "\"{}\" is a symbolic link to `{}`, which is outside of the {tree}",
        Shown(link),
        Shown(target)
    )]
    LinkOutside {
        /// The link.
        link: PathBuf,
        /// Its target as written in it.
        target: PathBuf,
        /// What kind of tree the link is in.
        tree: &'static str,
    },
    /// A link to nothing.
    #[error(
        "\"{}\" is a symbolic link to `{}`, which does not exist",
        Shown(link),
        Shown(target)
    )]
    DanglingLink {
        /// The link.
        link: PathBuf,
        /// Its target as written in it.
        target: PathBuf,
    },
    /// More than 40 links on the way, most likely a loop.
    #[error("\"{}\": too many levels of symbolic links", Shown(path))]
    TooManyLinks {
        /// The path that was to be resolved.
        path: PathBuf,
    },
    /// A wildcard that is not one.
    #[error("`{pattern}` is not a pattern: syntax error")]
    BadPattern {
        /// The pattern.
        pattern: String,
    },
    /// A file that changed each time it was read.
    #[error("\"{}\" changed while it was read", Shown(path))]
    ChangedWhileReading {
        /// The file.
        path: PathBuf,
    },
    /// The tree cannot be read.
    #[error(transparent)]
    Unreadable(#[from] FsError),
}

impl SelectError {
    /// Returns the path that is the matter, from the root of the tree.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::NotFound { path, .. }
            | Self::Ignored { path, .. }
            | Self::Withheld { path }
            | Self::TooManyLinks { path } => path.to_str(),
            Self::LinkOutside { link, .. } | Self::DanglingLink { link, .. } => link.to_str(),
            Self::BadPattern { pattern } => Some(pattern),
            Self::ChangedWhileReading { .. } | Self::Unreadable(_) => None,
        }
    }

    /// Returns what to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NotFound { near: Some(near), .. } => Some(format!("did you mean `{near}`?")),
            Self::Ignored { path, line } => {
                let path = path.strip_prefix("/").unwrap_or(path);
                Some(format!("add `!{}` below line {line} of the ignore file", Shown(path)))
            }
            Self::LinkOutside { .. } => Some("copy the link's target into the context, or name it directly".to_owned()),
            Self::ChangedWhileReading { .. } => Some("keep other programs from writing to it".to_owned()),
            _ => None,
        }
    }
}

/// Reports what failed at a path that was there a moment before: it may be gone, or something else, by now.
pub(super) fn changed(path: &Path, error: FsError) -> SelectError {
    match error.errno() {
        Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE) => {
            SelectError::ChangedWhileReading { path: absolute(path) }
        }
        _ => error.into(),
    }
}

/// A path in a message.
pub(crate) struct Shown<'a>(pub(crate) &'a Path);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&Escaped(self.0.as_os_str().as_bytes()), f)
    }
}

/// Puts a slash in front of a path that is relative to the top of a tree.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    Path::new("/").join(path)
}
