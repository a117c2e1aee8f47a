//! What a step's tree has where the machine's `/dev`, `/proc` and `/sys` are seen: a directory for each, and nothing of
//! what comes to be there while the step runs is the step's to keep.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, futimens, mkdir, openat};
use snapshotter::Root;

use crate::executor::setup_error::{OnPath, SetupError};

/// Names in the root that are covered.
const NAMES: [&str; 3] = ["dev", "proc", "sys"];

/// What is covered in one tree, as it was before the step.
pub(super) struct Shadows {
    tree: PathBuf,
    /// By name; what is not there is `None`.
    before: Vec<(&'static str, Option<Shadow>)>,
}

/// A directory that is covered; what is none holds nothing.
struct Shadow {
    names: BTreeSet<OsString>,
    modified: Option<Timespec>,
}

impl Shadows {
    /// Notes what a tree has, and makes what it lacks.
    pub(super) fn cast(tree: &Path) -> Result<Self, SetupError> {
        let mut before = Vec::new();
        for name in NAMES {
            let path = tree.join(name);
            let shadow = Shadow::of(&path)?;
            if shadow.is_none() {
                mkdir(&path, Mode::from_raw_mode(0o755)).on("create", &path)?;
            }
            before.push((name, shadow));
        }
        Ok(Self {
            tree: tree.to_owned(),
            before,
        })
    }

    /// Removes what has come, and returns the names in the tree to which nothing else was done.
    pub(super) fn clear(self) -> Result<Vec<PathBuf>, SetupError> {
        let root = Root::open(&self.tree)?;
        let mut untouched = Vec::new();
        for (name, before) in self.before {
            let path = self.tree.join(name);
            let (Some(now), Some(before)) = (Shadow::of(&path)?, &before) else {
                root.remove_tree(Path::new(name))?;
                continue;
            };
            for new in now.names.difference(&before.names) {
                root.remove_tree(&Path::new(name).join(new))?;
            }
            if let (Some(modified), true) = (before.modified, now.modified != before.modified) {
                set_modified(&path, modified).on("set the time of", &path)?;
                untouched.push(PathBuf::from(name));
            }
        }
        Ok(untouched)
    }
}

impl Shadow {
    fn of(path: &Path) -> Result<Option<Self>, SetupError> {
        let found = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            found => found.on("stat", path)?,
        };
        if !found.is_dir() {
            return Ok(Some(Self {
                names: BTreeSet::new(),
                modified: None,
            }));
        }
        let entries = fs::read_dir(path).on("list", path)?;
        let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
        let modified = Timespec {
            tv_sec: std::os::unix::fs::MetadataExt::mtime(&found),
            tv_nsec: std::os::unix::fs::MetadataExt::mtime_nsec(&found),
        };
        Ok(Some(Self {
            names: names.collect::<Result<_, _>>().on("list", path)?,
            modified: Some(modified),
        }))
    }
}

fn set_modified(path: &Path, modified: Timespec) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: modified,
    };
    futimens(openat(CWD, path, flags, Mode::empty())?, &times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_to_be_there_is_removed_and_what_was_there_stays() {
        let tree = tempfile::tempdir().unwrap();
        let path = |name: &str| tree.path().join(name);
        fs::create_dir_all(path("dev/pts")).unwrap();
        fs::create_dir(path("proc")).unwrap();
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 5);
        fs::File::open(path("dev")).unwrap().set_modified(long_ago).unwrap();
        let shadows = Shadows::cast(tree.path()).unwrap();
        fs::create_dir_all(path("dev/shm/x")).unwrap();
        fs::create_dir(path("sys/class")).unwrap();
        fs::write(path("dev/made"), "").unwrap();
        assert_eq!(shadows.clear().unwrap(), [Path::new("dev")]);
        let left: Vec<_> = fs::read_dir(path("dev"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["pts"]);
        assert_eq!(fs::metadata(path("dev")).unwrap().modified().unwrap(), long_ago);
        assert!(path("proc").is_dir() && !path("sys").exists());
    }
}
