//! Mount points that the image lacks.
//!
//! They are not made in the step's upper directory, from where they would have to be removed again, together with the
//! traces their making leaves in parent directories. They lie in a layer of their own, on a tmpfs or, where owners are
//! emulated, on the disk, that is stacked directly below the upper directory for this one mount. So the layer that the
//! step leaves cannot contain them, however the step ends and whatever it does to the paths around them.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, chownat, fgetxattr, flistxattr, fstat,
    lsetxattr, openat, utimensat,
};

use super::locate::{Location, locate};
use super::root::is_directory;
use crate::executor::setup_error::{OnPath, SetupError};

/// Makes the mount points that `view`, the image as the step will see it, lacks for these mounts, and returns whether
/// there were any. `layer` is an empty directory.
pub(super) fn make<'a>(
    view: BorrowedFd<'_>,
    targets: impl Iterator<Item = (PathBuf, &'a OwnedFd)>,
    layer: &Path,
) -> Result<bool, SetupError> {
    let mut covered: Vec<PathBuf> = Vec::new();
    let mut copied: Vec<PathBuf> = Vec::new();
    for (target, mount) in targets {
        let location = locate(view, &target).on("find the mount point", &target)?;
        let path = location.path();
        if path == Path::new("/") {
            return Err(SetupError::TargetIsRoot { target });
        }
        // What lies below another mount is made in that mount when it is attached.
        let below_a_mount = covered.iter().any(|other| path.starts_with(other));
        if !below_a_mount && !location.missing.is_empty() {
            make_stub(&location, is_directory(mount)?, layer, &mut copied)?;
        }
        covered.push(path);
    }
    // Outside in: what is done to a directory does not change its parent.
    for dir in &copied {
        copy_attributes(view, dir, layer)?;
    }
    Ok(!copied.is_empty())
}

/// Makes one mount point. The directories above it that the image has are noted, to look like those.
fn make_stub(location: &Location, directory: bool, layer: &Path, copied: &mut Vec<PathBuf>) -> Result<(), SetupError> {
    if !is_directory(&location.fd)? {
        return Err(rustix::io::Errno::NOTDIR).on("make a mount point below", &location.existing);
    }
    let mut ancestors: Vec<&Path> = location.existing.ancestors().collect();
    ancestors.reverse();
    for ancestor in ancestors {
        if !copied.iter().any(|known| known == ancestor) {
            create_dir(&in_layer(layer, ancestor))?;
            copied.push(ancestor.to_owned());
        }
    }
    let (last, parents) = match location.missing.split_last() {
        Some(split) => split,
        None => return Ok(()),
    };
    let mut at = in_layer(layer, &location.existing);
    for parent in parents {
        at.push(parent);
        create_dir(&at)?;
    }
    at.push(last);
    if directory {
        return create_dir(&at);
    }
    fs::write(&at, "").on("create", &at)
}

fn in_layer(layer: &Path, path: &Path) -> PathBuf {
    layer.join(path.strip_prefix("/").unwrap_or(path))
}

/// Creates a directory unless an earlier mount point has made it.
fn create_dir(path: &Path) -> Result<(), SetupError> {
    match rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)) {
        Err(rustix::io::Errno::EXIST) => Ok(()),
        result => result.on("create", path),
    }
}

/// Makes a directory of the layer look like the one it lies over, to the step and in the layer if the step changes it.
fn copy_attributes(view: BorrowedFd<'_>, dir: &Path, layer: &Path) -> Result<(), SetupError> {
    let from = super::mounts::open_in(view, dir).on("open", dir)?;
    let from = openat(
        &from,
        ".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .on("open", dir)?;
    let to = in_layer(layer, dir);
    let stat = fstat(&from).on("read the attributes of", dir)?;
    chownat(
        CWD,
        &to,
        Some(Uid::from_raw(stat.st_uid)),
        Some(Gid::from_raw(stat.st_gid)),
        AtFlags::empty(),
    )
    .on("change the owner of", &to)?;
    rustix::fs::chmod(&to, Mode::from_raw_mode(stat.st_mode)).on("change the mode of", &to)?;
    copy_xattrs(&from, &to);
    let time = |seconds, nanoseconds| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec as _),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec as _),
    };
    utimensat(CWD, &to, &times, AtFlags::empty()).on("change the times of", &to)
}

/// Copies extended attributes as far as the layer takes them; a tmpfs takes no `user.*` before Linux 6.6.
fn copy_xattrs(from: &OwnedFd, to: &Path) {
    let mut names = vec![0; 64 << 10];
    let length = flistxattr(from, &mut names).unwrap_or(0);
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = OsString::from_vec(name.to_vec());
        let mut value = vec![0; 64 << 10];
        if let Ok(length) = fgetxattr(from, name.as_os_str(), &mut value) {
            let _not_taken = lsetxattr(to, name.as_os_str(), &value[..length], XattrFlags::empty());
        }
    }
}
