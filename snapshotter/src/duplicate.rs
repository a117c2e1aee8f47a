//! Copying a file, or a directory with all that is in it, as it is on disk.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{Mode, mkdirat, openat};

use crate::error::{FsError, OnPath as _};
use crate::inodes::stat_at;
use crate::replica::{Manner, Replicator};
use crate::root::{DIR_FLAGS, Root};
use crate::stack::lay;

/// Copies `name` of one directory, attributes and all, to a new name in another. A link is copied, not followed.
pub fn duplicate(
    (from, name): (BorrowedFd<'_>, &OsStr),
    (into, new_name): (BorrowedFd<'_>, &OsStr),
) -> Result<(), FsError> {
    let open = |dir: BorrowedFd<'_>, name: &OsStr| {
        let fd = openat(dir, name, DIR_FLAGS, Mode::empty()).on("open directory", name)?;
        Ok::<_, FsError>(Root::from_fd(fd))
    };
    if !stat_at(from, name).on("stat", name)?.is_dir() {
        let to = Root::from_fd(into.try_clone_to_owned().on("use", new_name)?);
        let source = Root::from_fd(from.try_clone_to_owned().on("use", name)?);
        let mut replicator = Replicator::new(source.inodes(), &to, Manner::Copied);
        let (name, new_bytes) = (name.as_bytes(), new_name.as_bytes());
        return replicator.file((from, name), (to.as_fd(), new_bytes), Path::new(new_name));
    }
    mkdirat(into, new_name, Mode::RWXU).on("make directory", new_name)?;
    lay(&open(from, name)?, &open(into, new_name)?, Manner::Copied)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_copy_has_everything_that_the_original_has() {
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().join("dir");
        fs::create_dir_all(dir.join("below")).unwrap();
        fs::write(dir.join("below/file"), "content").unwrap();
        fs::set_permissions(dir.join("below/file"), fs::Permissions::from_mode(0o4751)).unwrap();
        fs::hard_link(dir.join("below/file"), dir.join("name")).unwrap();
        symlink("/outside", dir.join("link")).unwrap();
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        File::open(dir.join("below")).unwrap().set_modified(long_ago).unwrap();
        let here = File::open(top.path()).unwrap();
        for name in ["dir", "dir/link", "dir/name"] {
            let copy = OsStr::new(name.rsplit('/').next().unwrap_or_default()).to_owned();
            let into = format!("copy-{}", copy.display());
            duplicate((here.as_fd(), OsStr::new(name)), (here.as_fd(), OsStr::new(&into))).unwrap();
        }
        let copy = top.path().join("copy-dir");
        let file = fs::metadata(copy.join("below/file")).unwrap();
        assert_eq!((file.mode() & 0o7777, file.nlink()), (0o4751, 2));
        assert_eq!(file.ino(), fs::metadata(copy.join("name")).unwrap().ino());
        assert_eq!(fs::metadata(copy.join("below")).unwrap().modified().unwrap(), long_ago);
        assert_eq!(fs::read_link(copy.join("link")).unwrap(), Path::new("/outside"));
        assert_eq!(
            fs::read_link(top.path().join("copy-link")).unwrap(),
            Path::new("/outside")
        );
        assert_eq!(fs::read_to_string(top.path().join("copy-name")).unwrap(), "content");
    }
}
