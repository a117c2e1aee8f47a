//! What is mounted in a context: an overlay shows what lies below it instead, or may not even do that.

use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::fs::CWD;
use rustix::mount::{OpenTreeFlags, open_tree};

use crate::sys;

/// Where something is mounted below the top of a context, as paths from there.
pub(super) struct MountPoints(Vec<PathBuf>);

/// Returns whether an overlay may lie on a directory in which something is mounted. The kernel does not let it uncover what
/// was covered before the user namespace was made, and refuses a clone of the one mount for the same reason.
pub(super) fn may_be_uncovered(directory: &Path) -> bool {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    open_tree(CWD, directory, flags).is_ok()
}

impl MountPoints {
    /// Asks the kernel.
    ///
    /// # Errors
    /// If it does not say.
    pub(super) fn within(context: &Path) -> io::Result<Self> {
        let top = fs::canonicalize(context)?;
        Ok(Self::listed(&top, &fs::read("/proc/self/mountinfo")?))
    }

    /// Reads the kernel's list; `top` is without links.
    fn listed(top: &Path, mountinfo: &[u8]) -> Self {
        let points = mountinfo
            .split(|byte| *byte == b'\n')
            .filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
        let below = points.filter_map(|point| {
            let point = sys::mount_point(point);
            let path = point.strip_prefix(top).ok()?;
            (!path.as_os_str().is_empty()).then(|| path.to_owned())
        });
        Self(below.collect())
    }

    /// Returns one of them.
    pub(super) fn any(&self) -> Option<&Path> {
        self.0.first().map(PathBuf::as_path)
    }

    /// Returns a mount that makes a difference to who looks at `origin`: it is there, above or below. What is mounted in a
    /// directory that `hides` all of its files is not looked at.
    pub(super) fn seen_at(&self, origin: &Path, mut hides: impl FnMut(&Path) -> bool) -> Option<&Path> {
        let mut is_seen = |point: &Path| {
            let mut between = point.ancestors().take_while(|path| *path != origin);
            origin.starts_with(point) || point.starts_with(origin) && !between.any(&mut hides)
        };
        self.0.iter().map(PathBuf::as_path).find(|point| is_seen(point))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_seen_from_above_below_and_where_they_are() {
        let mountinfo = b"20 1 8:1 / / rw - ext4 /dev/a rw\n\
            21 20 0:5 / /top rw - tmpfs t rw\n\
            22 21 0:6 / /top/a/b rw - sysfs s rw\n\
            23 21 0:7 / /top/c\\040d\\134/e rw - tmpfs c rw\n\
            24 20 0:8 / /topmost/f rw - tmpfs f rw\n";
        let mounts = MountPoints::listed(Path::new("/top"), mountinfo);
        for (origin, hidden, seen) in [
            ("", "", Some("a/b")),
            ("", "a", Some("c d\\/e")),
            ("", "a/b", Some("c d\\/e")),
            ("a", "", Some("a/b")),
            ("a", "a/b", None),
            // What is asked for is not hidden.
            ("a/b", "a/b", Some("a/b")),
            ("a/b/c", "", Some("a/b")),
            ("a/bc", "", None),
            ("c d\\", "", Some("c d\\/e")),
            ("f", "", None),
        ] {
            let found = mounts.seen_at(Path::new(origin), |directory| directory == Path::new(hidden));
            assert_eq!(found, seen.map(Path::new), "{origin} without {hidden}");
        }
    }
}
