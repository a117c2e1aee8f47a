//! What a directory is beside its entries, for one that stands for another.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{
    Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, fchmod, fchown, fgetxattr, flistxattr, fremovexattr,
    fsetxattr, fstat, futimens,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// The longest list of names, and the longest value, that the kernel hands out.
const LONGEST: usize = 64 * 1024;

/// Owner, mode, modification time and extended attributes of a directory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Looks {
    uid: u32,
    gid: u32,
    mode: u32,
    modified: (i64, i64),
    /// Those in the name space `user.`.
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Looks {
    /// Reads those of an open directory.
    pub(super) fn of(dir: BorrowedFd<'_>) -> Result<Self, Errno> {
        let stat = fstat(dir)?;
        let mut xattrs = BTreeMap::new();
        for name in names(dir)? {
            let mut value = vec![0; LONGEST];
            let length = fgetxattr(dir, OsStr::from_bytes(&name), &mut value)?;
            value.truncate(length);
            xattrs.insert(name, value);
        }
        Ok(Self {
            uid: stat.st_uid,
            gid: stat.st_gid,
            mode: stat.st_mode & 0o7777,
            modified: (stat.st_mtime, stat.st_mtime_nsec as i64),
            xattrs,
        })
    }

    /// Gives them to an open directory.
    pub(super) fn put(&self, dir: BorrowedFd<'_>) -> Result<(), Errno> {
        let now = Self::of(dir)?;
        if (now.uid, now.gid) != (self.uid, self.gid) {
            fchown(dir, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))?;
        }
        // After the owner, which takes bits of it away.
        fchmod(dir, Mode::from_raw_mode(self.mode))?;
        for name in now.xattrs.keys().filter(|name| !self.xattrs.contains_key(*name)) {
            fremovexattr(dir, OsStr::from_bytes(name))?;
        }
        for (name, value) in &self.xattrs {
            fsetxattr(dir, OsStr::from_bytes(name), value, XattrFlags::empty())?;
        }
        let time = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
        let times = Timestamps {
            last_access: time(0, UTIME_OMIT),
            last_modification: time(self.modified.0, self.modified.1),
        };
        futimens(dir, &times)
    }
}

fn names(dir: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    let mut list = vec![0; LONGEST];
    let length = match flistxattr(dir, &mut list) {
        Err(Errno::OPNOTSUPP) => 0,
        length => length?,
    };
    let names = list[..length].split(|byte| *byte == 0);
    let users = names.filter(|name| name.starts_with(b"user."));
    Ok(users.map(<[u8]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn one_directory_can_look_like_another() {
        let top = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| {
            fs::create_dir(top.path().join(name)).unwrap();
            File::open(top.path().join(name)).unwrap()
        });
        one.set_permissions(fs::Permissions::from_mode(0o2751)).unwrap();
        one.set_modified(std::time::UNIX_EPOCH + std::time::Duration::new(7, 9))
            .unwrap();
        fsetxattr(&one, "user.kept", b"value", XattrFlags::empty()).unwrap();
        fsetxattr(&other, "user.lost", b"value", XattrFlags::empty()).unwrap();
        let looks = Looks::of(one.as_fd()).unwrap();
        assert_ne!(Looks::of(other.as_fd()).unwrap(), looks);
        looks.put(other.as_fd()).unwrap();
        assert_eq!(Looks::of(other.as_fd()).unwrap(), looks);
    }
}
