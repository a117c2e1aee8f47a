//! What was found at a path of a context, and whether an overlay on the context shows just that.

use std::fmt;
use std::path::{Path, PathBuf};

use registry::oci::Digest;

use super::mounted::{MountPoints, may_be_uncovered};
use crate::context::{Selection, Use};
use crate::ops::LocalContext;

/// What was found at a path of a context.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::ops) struct Sight {
    /// Where it is in the context, links followed.
    pub(super) origin: PathBuf,
    /// Whether there may be something below it.
    pub(super) is_directory: bool,
    /// What a step is to see of it.
    pub(super) digest: Digest,
    /// A file that is not root's, as far as a step could see: in a user namespace the user's own are.
    others: Option<Foreign>,
}

/// A file of somebody else, and whose it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::ops) struct Foreign {
    path: PathBuf,
    owner: (u32, u32),
}

/// Why a context is not shown where it is; for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::ops) enum Obstacle {
    /// An overlay cannot lie on a directory that its own layers lie in.
    State,
    /// An overlay shows owners, which are no part of the key, as they are.
    Owner(Foreign),
    /// An overlay does not show what is mounted in the context, and may not show what lies below.
    Mount(PathBuf),
    /// Nobody knows what is mounted in it.
    UnknownMounts,
}

impl Sight {
    /// Notes what was selected by one path.
    pub(in crate::ops) fn of(selection: &Selection) -> Self {
        let first = selection.matches.first();
        let mut entries = first.iter().flat_map(|matched| &matched.entries);
        let origin = first.map_or_else(PathBuf::new, |matched| matched.origin.clone());
        let others = entries.find(|entry| (entry.stat.uid, entry.stat.gid) != (0, 0));
        Self {
            is_directory: first
                .and_then(|matched| matched.entries.first())
                .is_none_or(|top| top.stat.is_dir()),
            digest: selection.digest(Use::Mount { keep_owner: false }),
            others: others.map(|entry| Foreign {
                path: match entry.path.as_os_str().is_empty() {
                    true => origin.clone(),
                    false => origin.join(&entry.path),
                },
                owner: (entry.stat.uid, entry.stat.gid),
            }),
            origin,
        }
    }

    /// Returns why an overlay on the context would not show just that, if it would not.
    pub(super) fn obstacle(&self, context: &LocalContext) -> Option<Obstacle> {
        if context.holds_state {
            return Some(Obstacle::State);
        }
        if let Some(others) = &self.others {
            return Some(Obstacle::Owner(others.clone()));
        }
        let Ok(mounts) = MountPoints::within(&context.path) else {
            return Some(Obstacle::UnknownMounts);
        };
        let mut hidden = context.tree.hidden();
        let seen = mounts.seen_at(&self.origin, |directory| hidden.ignores_all_below(directory));
        let covering = seen.or_else(|| mounts.any().filter(|_| !may_be_uncovered(&context.path)));
        covering.map(|point| Obstacle::Mount(point.to_owned()))
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State => write!(f, "the state directory is in this context"),
            Self::Owner(Foreign {
                path,
                owner: (uid, gid),
            }) => write!(f, "`{}` belongs to {uid}:{gid} and not to root", shown(path)),
            Self::Mount(point) => write!(f, "something is mounted on `{}`", shown(point)),
            Self::UnknownMounts => write!(
                f,
                "`/proc/self/mountinfo` does not tell what is mounted in this context"
            ),
        }
    }
}

/// Shows a path of a context; the top is a dot.
pub(super) fn shown(path: &Path) -> impl fmt::Display {
    let top = path.as_os_str().is_empty();
    if top { Path::new(".") } else { path }.display().to_string()
}
