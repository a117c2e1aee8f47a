//! Opens what will be mounted, each as a *detached* mount: a descriptor that is attached later.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_string,
    fsmount, fsopen, move_mount, open_tree,
};
use rustix::path::Arg;

use crate::executor::plan::{MountIndex, Source};
use crate::executor::process::{Content, Restriction, Tree};
use crate::executor::setup_error::{OnPath, SetupError};
use crate::sys;

/// Flags of the file systems that hold no programs.
const INERT: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// Mounts a tmpfs for croze's own use over `at`.
pub(super) fn scratch(at: &Path) -> Result<(), SetupError> {
    let nosuid = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let tmpfs = file_system("tmpfs", &[("mode", "0700")], nosuid)?;
    let target = rustix::fs::open(at, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).on("open", at)?;
    attach(tmpfs.as_fd(), target.as_fd()).on("mount a tmpfs on", at)?;
    for dir in ["files", "trees", "stubs", "root"] {
        fs::create_dir(at.join(dir)).on("create", at.join(dir))?;
    }
    Ok(())
}

/// Opens a mount. `index` gives it a name of its own in the scratch directory.
pub(super) fn open(source: Source, index: MountIndex, scratch: &Path) -> Result<OwnedFd, SetupError> {
    match source {
        Source::Proc { new: false } => clone(Path::new("/proc"), true, "mount"),
        Source::Proc { new: true } => match file_system("proc", &[], INERT) {
            Err(SetupError::System { source, .. }) if source == Errno::PERM.into() => Err(SetupError::ProcMasked),
            mount => mount,
        },
        Source::Sys { new } => sysfs(new),
        Source::Dev => file_system(
            "tmpfs",
            &[("mode", "0755"), ("size", "64k")],
            MountAttrFlags::MOUNT_ATTR_NOSUID,
        ),
        Source::Tree { tree, path, writable } => {
            let tree = match tree {
                Tree::Directory(dir) => {
                    rustix::fs::open(&dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                        .on("open", &dir)?
                }
                Tree::Overlay(overlay) => {
                    let mount = overlay.mount()?;
                    // Before Linux 6.15 a part can only be cloned from an attached mount.
                    let at = scratch.join("trees").join(index.to_string());
                    attach_at_new_dir(mount.as_fd(), &at)?;
                    mount
                }
            };
            part_of(tree.as_fd(), &path, writable)
        }
        Source::Tmpfs { size } => {
            let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
            let size = size.map(|bytes| bytes.to_string());
            let size = size.as_deref().map(|bytes| ("size", bytes));
            let options: Vec<_> = [("mode", "1777")].into_iter().chain(size).collect();
            file_system("tmpfs", &options, flags)
        }
        Source::File {
            content,
            mode,
            uid,
            gid,
        } => {
            let path = scratch.join("files").join(index.to_string());
            write_file(&path, &content, mode, uid, gid)?;
            clone(&path, false, "mount")
        }
        Source::Host { path, restrictions } => {
            let mount = clone(&path, true, "mount")?;
            let restrictions = restrictions.into_iter().map(attribute).collect();
            sys::restrict(mount.as_fd(), restrictions).on("restrict the mount of", path)?;
            Ok(mount)
        }
    }
}

fn attribute(restriction: Restriction) -> MountAttrFlags {
    match restriction {
        Restriction::Write => MountAttrFlags::MOUNT_ATTR_RDONLY,
        Restriction::SetId => MountAttrFlags::MOUNT_ATTR_NOSUID,
        Restriction::Devices => MountAttrFlags::MOUNT_ATTR_NODEV,
        Restriction::Execute => MountAttrFlags::MOUNT_ATTR_NOEXEC,
    }
}

/// Makes a new file system and a detached mount of it.
pub(super) fn file_system(
    name: &'static str,
    options: &[(&str, &str)],
    flags: MountAttrFlags,
) -> Result<OwnedFd, SetupError> {
    let mount = || {
        let context = fsopen(name, FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (key, value) in options {
            fsconfig_set_string(context.as_fd(), *key, *value)?;
        }
        fsconfig_create(context.as_fd())?;
        fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags)
    };
    mount().on("mount a file system of type", name)
}

/// Attaches a detached mount to an open file or directory.
pub(super) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", target, "", flags)
}

/// Attaches a detached mount to a directory of the host that is made for it.
pub(super) fn attach_at_new_dir(mount: BorrowedFd<'_>, at: &Path) -> Result<(), SetupError> {
    fs::create_dir(at).on("create", at)?;
    let target = rustix::fs::open(at, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).on("open", at)?;
    attach(mount, target.as_fd()).on("mount on", at)
}

/// Makes a detached copy of the mount of what `fd` stands for, with what is mounted below it.
pub(super) fn clone_fd(fd: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    open_tree(fd, "", CLONE_TREE | OpenTreeFlags::AT_EMPTY_PATH)
}

const CLONE_TREE: OpenTreeFlags = OpenTreeFlags::OPEN_TREE_CLONE
    .union(OpenTreeFlags::OPEN_TREE_CLOEXEC)
    .union(OpenTreeFlags::AT_RECURSIVE);

/// Makes a detached copy of the mount at a path of the host.
fn clone(path: &Path, writable: bool, verb: &str) -> Result<OwnedFd, SetupError> {
    let mount = open_tree(CWD, path, CLONE_TREE).on(verb, path)?;
    if !writable {
        sys::make_read_only(mount.as_fd()).on("make read-only", path)?;
    }
    Ok(mount)
}

/// Makes a detached mount of one path of a tree; no link of the tree leads out of it.
fn part_of(tree: BorrowedFd<'_>, path: &Path, writable: bool) -> Result<OwnedFd, SetupError> {
    let found = match open_in(tree, path) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Err(SetupError::SourceMissing { path: path.to_owned() }),
        found => found.on("open the mount source", path)?,
    };
    let mount = clone_fd(found.as_fd()).on("mount", path)?;
    if !writable {
        sys::make_read_only(mount.as_fd()).on("make read-only", path)?;
    }
    Ok(mount)
}

/// Opens a path within a root as a mere location.
pub(super) fn open_in(root: BorrowedFd<'_>, path: impl Arg) -> rustix::io::Result<OwnedFd> {
    let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    // A `..` that races with a rename somewhere else on the machine is asked to try again.
    path.into_with_c_str(|path| {
        rustix::io::retry_on_intr(|| match openat2(root, path, flags, Mode::empty(), within) {
            Err(Errno::AGAIN) => Err(Errno::INTR),
            result => result,
        })
    })
}

/// Writes a file with just these permissions.
fn write_file(path: &Path, content: &Content, mode: u32, uid: u32, gid: u32) -> Result<(), SetupError> {
    let mut file = File::create_new(path).on("create", path)?;
    file.write_all(&content.0).on("write", path)?;
    chown(path, Some(uid), Some(gid)).on("change the owner of", path)?;
    // After the owner: changing that takes setuid bits away.
    file.set_permissions(Permissions::from_mode(mode))
        .on("change the mode of", path)
}

fn sysfs(new: bool) -> Result<OwnedFd, SetupError> {
    if new {
        let mount = file_system("sysfs", &[], INERT);
        // Refused where parts of the visible one are masked; the host's is then what there is.
        if let Ok(mount) = mount {
            sys::make_read_only(mount.as_fd()).on("make read-only", "/sys")?;
            return Ok(mount);
        }
    }
    clone(Path::new("/sys"), false, "mount")
}
