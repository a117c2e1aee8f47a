//! `mount(2)`, which knows mounts by their paths.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, StatVfsMountFlags, fstat, fstatvfs};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountFlags, mount, mount_bind_recursive, mount_move, mount_remount};

use crate::executor::setup_error::{OnPath as _, SetupError};
use crate::sys;

/// Where mounts lie until they are attached.
pub(in super::super) struct Classic {
    /// A directory of croze's own tmpfs.
    place: PathBuf,
    /// How many there have been.
    count: Cell<usize>,
}

impl Classic {
    /// Mounts croze's own tmpfs.
    pub(super) fn begin(scratch: &Path, options: &[(&str, &str)], flags: MountAttrFlags) -> Result<Self, SetupError> {
        mount_new("tmpfs", scratch, options, flags).on("mount a tmpfs on", scratch)?;
        let place = scratch.join("mounts");
        fs::create_dir(&place).on("create", &place)?;
        Ok(Self {
            place,
            count: Cell::new(0),
        })
    }

    pub(super) fn file_system(
        &self,
        name: &str,
        options: &[(&str, &str)],
        flags: MountAttrFlags,
    ) -> rustix::io::Result<OwnedFd> {
        let at = self.next(FileType::Directory)?;
        mount_new(name, &at, options, flags)?;
        open(&at)
    }

    pub(super) fn copy(&self, of: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
        let at = self.next(FileType::from_raw_mode(fstat(of)?.st_mode))?;
        mount_bind_recursive(path(of), &at)?;
        open(&at)
    }

    /// Makes the next place, of the kind of what will cover it.
    fn next(&self, kind: FileType) -> rustix::io::Result<PathBuf> {
        let at = self.place.join(self.count.replace(self.count.get() + 1).to_string());
        let made = match kind {
            FileType::Directory => fs::create_dir(&at),
            _ => File::create_new(&at).map(drop),
        };
        made.map(|()| at)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }
}

pub(super) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> rustix::io::Result<()> {
    mount_move(path(mount), path(target))
}

/// Adds attributes, mount by mount.
pub(super) fn restrict(mount: BorrowedFd<'_>, added: MountAttrFlags) -> io::Result<()> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo")?;
    for below in below(mount_id(mount)?, &mountinfo) {
        restrict_one(open(&below)?.as_fd(), added)?;
    }
    Ok(restrict_one(mount, added)?)
}

/// Adds attributes to one mount. Those that it has are given again: a remount sets all, and one that an outer user
/// namespace has locked must be among them.
fn restrict_one(mount: BorrowedFd<'_>, added: MountAttrFlags) -> rustix::io::Result<()> {
    let has = fstatvfs(mount)?.f_flag;
    let kept = [
        (StatVfsMountFlags::RDONLY, MountFlags::RDONLY),
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ];
    let kept = kept.into_iter().filter(|(flag, _)| has.contains(*flag));
    let flags = kept.fold(flags(added), |flags, (_, kept)| flags | kept);
    mount_remount(path(mount), MountFlags::BIND | flags, c"")
}

fn mount_new(name: &str, at: &Path, options: &[(&str, &str)], attributes: MountAttrFlags) -> rustix::io::Result<()> {
    let options: Vec<String> = options.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let options = CString::new(options.join(",")).map_err(|_| Errno::INVAL)?;
    mount(name, at, name, flags(attributes), options.as_c_str())
}

fn flags(attributes: MountAttrFlags) -> MountFlags {
    let pairs = [
        (MountAttrFlags::MOUNT_ATTR_RDONLY, MountFlags::RDONLY),
        (MountAttrFlags::MOUNT_ATTR_NOSUID, MountFlags::NOSUID),
        (MountAttrFlags::MOUNT_ATTR_NODEV, MountFlags::NODEV),
        (MountAttrFlags::MOUNT_ATTR_NOEXEC, MountFlags::NOEXEC),
    ];
    let asked = pairs
        .into_iter()
        .filter(|(attribute, _)| attributes.contains(*attribute));
    asked.fold(MountFlags::empty(), |flags, (_, flag)| flags | flag)
}

/// The name of a descriptor, which leads to just what it stands for, whatever is mounted on that.
fn path(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn open(at: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(at, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Returns the kernel's number of a mount.
fn mount_id(mount: BorrowedFd<'_>) -> io::Result<u64> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", mount.as_raw_fd()))?;
    let id = info
        .lines()
        .find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    id.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Returns where the mounts below a mount are attached, as `/proc/self/mountinfo` tells.
fn below(mount: u64, mountinfo: &str) -> Vec<PathBuf> {
    let mut above = BTreeSet::from([mount]);
    let mut found = Vec::new();
    // A mount is listed after the one that it lies on.
    for line in mountinfo.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [id, parent, _, _, at, ..] = fields[..] else {
            continue;
        };
        let (Ok(id), Ok(parent)) = (id.parse(), parent.parse()) else {
            continue;
        };
        if above.contains(&parent) {
            above.insert(id);
            found.push(sys::mount_point(at.as_bytes()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mounts_below_a_mount_are_found_at_any_depth() {
        let mountinfo = "20 1 8:1 / / rw - ext4 /dev/a rw\n\
            21 20 0:5 / /sys rw - sysfs s rw\n\
            22 21 0:6 / /sys/fs/c\\040d rw - cgroup2 c rw\n\
            23 20 0:7 / /tmp rw - tmpfs t rw\n\
            24 22 0:8 / /sys/fs/c\\040d/\\134x rw - tmpfs t rw\n";
        let expected = ["/sys/fs/c d", "/sys/fs/c d/\\x"].map(PathBuf::from);
        assert_eq!(below(21, mountinfo), expected);
        assert!(below(24, mountinfo).is_empty());
    }
}
