//! The slot that is a container's `/`.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, StatxAttributes, StatxFlags, openat, statx};

use super::error::{OnPath as _, SwapError};
use super::exchange::{DIRECTORY, names};
use super::slot::Slot;

/// The kernel's file systems stay, and cover what a tree has of these names.
pub(super) const COVERING: [&str; 3] = ["proc", "sys", "dev"];

/// How many files a runtime may put into a directory: `/etc/hostname` and the like.
const MAX_FILES: usize = 12;

/// How deep below `/` mount points are looked for.
const MAX_DEPTH: usize = 16;

/// Returns the slot in which a tree takes the place of what lies in `/`. What is mounted there stays, and so do the
/// top-level directories of the tree, of what is croze's own, and of the paths `in_use`.
pub fn root_slot(tree: &Path, in_use: &[&Path]) -> Result<Slot, SwapError> {
    let place = PathBuf::from("/");
    let root = openat(CWD, &place, DIRECTORY, Mode::empty()).on("open", &place)?;
    let mut kept: BTreeSet<OsString> = COVERING.into_iter().map(OsString::from).collect();
    kept.extend(
        in_use
            .iter()
            .chain([&tree, &Path::new(super::HOME)])
            .filter_map(|path| top(path)),
    );
    kept.extend(mount_points(&root, &place)?);
    let theirs = openat(CWD, tree, DIRECTORY, Mode::empty()).on("open", tree)?;
    let taken =
        |name: &&OsString| kept.contains(*name) && COVERING.iter().all(|covering| *covering != name.as_os_str());
    if let Some(name) = names(&theirs, tree)?.iter().find(taken) {
        return Err(SwapError::Taken { path: place.join(name) });
    }
    Ok(Slot::of_all_but(place, tree.to_owned(), kept))
}

/// Returns the names in a directory on which something is mounted.
pub(super) fn mount_points(dir: &OwnedFd, shown: &Path) -> Result<BTreeSet<OsString>, SwapError> {
    let mut found = BTreeSet::new();
    for name in names(dir, shown)? {
        if is_mount_point(dir, &name).on("stat", shown.join(&name))? {
            found.insert(name);
        }
    }
    Ok(found)
}

/// Returns a directory of the container's own in `/` that holds more than a runtime puts there, if there is one: the image
/// that this container runs is not croze's own.
pub fn foreign_directory() -> Result<Option<PathBuf>, SwapError> {
    let place = PathBuf::from("/");
    let root = openat(CWD, &place, DIRECTORY, Mode::empty()).on("open", &place)?;
    let ours = top(Path::new(super::HOME));
    for name in names(&root, &place)? {
        let is_covering = COVERING.iter().any(|covering| *covering == name);
        if !is_covering && Some(&name) != ours.as_ref() && count_files(&root, &name, MAX_DEPTH) > MAX_FILES {
            return Ok(Some(place.join(name)));
        }
    }
    Ok(None)
}

/// Counts what is neither a directory nor a mount, and not much further than to the limit.
fn count_files(dir: &OwnedFd, name: &OsStr, depth: usize) -> usize {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let Ok(stat) = statx(dir, name, flags, StatxFlags::TYPE) else {
        return 0;
    };
    if stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        return 0;
    }
    if FileType::from_raw_mode(stat.stx_mode.into()) != FileType::Directory {
        return 1;
    }
    let inside = openat(dir, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty());
    let names = inside.as_ref().map_or_else(
        |_| Vec::new(),
        |inside| names(inside, Path::new(name)).unwrap_or_default(),
    );
    let mut count = 0;
    for name in names {
        if let (Ok(inside), Some(depth), true) = (&inside, depth.checked_sub(1), count <= MAX_FILES) {
            count += count_files(inside, &name, depth);
        }
    }
    count
}

/// Returns the first name of an absolute path.
pub(super) fn top(path: &Path) -> Option<OsString> {
    path.components().find_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        _ => None,
    })
}

pub(super) fn is_mount_point(dir: &OwnedFd, name: &OsStr) -> rustix::io::Result<bool> {
    let stat = statx(
        dir,
        name,
        AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT,
        StatxFlags::TYPE,
    )?;
    Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Whether a name stands for a directory in which there are only directories and, at last, mounts: the way to volumes.
pub(super) fn leads_only_to_mounts(dir: &OwnedFd, name: &OsStr) -> bool {
    fn leads(dir: &OwnedFd, name: &OsStr, depth: usize) -> rustix::io::Result<bool> {
        if depth == 0 {
            return Ok(false);
        }
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let stat = statx(dir, name, flags, StatxFlags::TYPE)?;
        if stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
            return Ok(true);
        }
        if FileType::from_raw_mode(stat.stx_mode.into()) != FileType::Directory {
            return Ok(false);
        }
        let inside = openat(dir.as_fd(), name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
        let names = names(&inside, Path::new(name)).map_err(|_| rustix::io::Errno::IO)?;
        for name in names {
            if !leads(&inside, &name, depth - 1)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
    leads(dir, name, MAX_DEPTH).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_mounted_or_in_use_stays_and_a_tree_that_has_it_is_refused() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("proc")).unwrap();
        let slot = root_slot(tree.path(), &[Path::new("/some/where"), tree.path()]).unwrap();
        for kept in ["proc", "sys", "dev", "some"] {
            assert!(slot.kept.contains(OsStr::new(kept)), "{kept}");
        }
        assert!(!slot.kept.contains(OsStr::new("etc")));
        fs::create_dir(tree.path().join("some")).unwrap();
        let taken = root_slot(tree.path(), &[Path::new("/some/where")]).unwrap_err();
        assert!(matches!(taken, SwapError::Taken { path } if path == Path::new("/some")));
    }

    #[test]
    fn a_directory_may_stay_if_nothing_but_mounts_is_in_it() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir_all(top.path().join("a/b/c")).unwrap();
        fs::create_dir_all(top.path().join("d/e")).unwrap();
        fs::write(top.path().join("d/e/file"), "").unwrap();
        let dir = OwnedFd::from(fs::File::open(top.path()).unwrap());
        assert!(leads_only_to_mounts(&dir, OsStr::new("a")));
        assert!(!leads_only_to_mounts(&dir, OsStr::new("d")));
        assert!(!leads_only_to_mounts(&dir, OsStr::new("missing")));
        let root = OwnedFd::from(fs::File::open("/").unwrap());
        assert!(leads_only_to_mounts(&root, OsStr::new("proc")));
    }
}
