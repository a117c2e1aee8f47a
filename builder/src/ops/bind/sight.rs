//! Whether what lies at a path of a context looks where it is as its key says: owned by root, and all of it in one mount.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::context::Selection;

/// What was found at a path of a context.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::ops) struct Sight {
    /// Where it is in the context, links followed.
    pub(super) origin: PathBuf,
    /// Whether there may be something below it.
    pub(super) is_directory: bool,
    /// Whether all of it is root's, as far as a step can see: in a user namespace that is the user's own.
    is_roots: bool,
}

impl Sight {
    /// Notes what was selected by one path.
    pub(in crate::ops) fn of(selection: &Selection) -> Self {
        let entries = || selection.matches.iter().flat_map(|matched| &matched.entries);
        let first = selection.matches.first();
        Self {
            origin: first.map_or_else(PathBuf::new, |matched| matched.origin.clone()),
            is_directory: entries().next().is_none_or(|top| top.stat.is_dir()),
            is_roots: entries().all(|entry| (entry.stat.uid, entry.stat.gid) == (0, 0)),
        }
    }

    /// Returns whether an overlay on the context shows just that. It would not show what is mounted in the context, and
    /// shows owners, which are no part of the key, as they are.
    pub(super) fn is_true_to(&self, context: &Path) -> bool {
        self.is_roots && (!self.is_directory || !has_mounts(&context.join(&self.origin)))
    }
}

/// Returns whether something is mounted below a directory, or whether that cannot be told.
fn has_mounts(directory: &Path) -> bool {
    let found = fs::canonicalize(directory).and_then(|real| Ok((real, fs::read("/proc/self/mountinfo")?)));
    found.map_or(true, |(real, mountinfo)| is_mounted_below(&real, &mountinfo))
}

/// Looks for mount points below a directory in the kernel's list.
fn is_mounted_below(directory: &Path, mountinfo: &[u8]) -> bool {
    let below = escaped(directory);
    let mut points = mountinfo
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    points.any(|point| {
        let rest = point.strip_prefix(below.as_slice());
        rest.is_some_and(|rest| rest.starts_with(b"/") || below.ends_with(b"/") && !rest.is_empty())
    })
}

/// Writes a path as the kernel does in its list of mounts.
fn escaped(path: &Path) -> Vec<u8> {
    let mut escaped = Vec::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => escaped.extend(format!("\\{byte:03o}").bytes()),
            byte => escaped.push(*byte),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_below_a_directory_are_found_by_their_paths() {
        let mountinfo = b"20 1 8:1 / / rw - ext4 /dev/a rw\n\
            21 20 0:5 / /a/b rw - sysfs s rw\n\
            22 21 0:6 / /c\\040d\\134/e rw - tmpfs c rw\n";
        for (directory, expected) in [
            ("/", true),
            ("/a", true),
            ("/a/b", false),
            ("/a/b/c", false),
            ("/c", false),
            ("/c d\\", true),
            ("/x", false),
        ] {
            assert_eq!(
                is_mounted_below(Path::new(directory), mountinfo),
                expected,
                "{directory}"
            );
        }
    }
}
