//! Opens what will be mounted, each as a mount that is attached later.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use rustix::path::Arg;

use super::api::Api;
use super::supervise::InodeOwners;
use crate::executor::plan::{MountIndex, Source};
use crate::executor::process::{Content, MountSource, Restriction, Tree};
use crate::executor::setup_error::{OnPath, SetupError};

/// Flags of the file systems that hold no programs.
const INERT: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// A tmpfs of croze's own, seen by the step only through what is mounted from it, and what to mount with.
pub(super) struct Scratch {
    at: PathBuf,
    pub(super) api: Api,
}

impl Scratch {
    /// Mounts it on an empty directory of the host.
    pub(super) fn mount(at: PathBuf) -> Result<Self, SetupError> {
        let api = Api::begin(&at)?;
        for dir in ["files", "trees", "stubs", "root"] {
            fs::create_dir(at.join(dir)).on("create", at.join(dir))?;
        }
        Ok(Self { at, api })
    }

    /// Returns a path in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.at.join(name)
    }
}

/// Opens a mount. `index` gives it a name of its own in the scratch directory. Files in memory get their owners from the
/// kernel, or have them noted.
pub(super) fn open(
    source: Source,
    index: MountIndex,
    scratch: &Scratch,
    owners: Option<&mut InodeOwners>,
) -> Result<OwnedFd, SetupError> {
    let api = &scratch.api;
    match source {
        Source::Proc { new: false } => protected(api, Path::new("/proc"), true),
        Source::Proc { new: true } => match api.file_system("proc", &[], INERT) {
            Err(SetupError::System { source, .. }) if source == Errno::PERM.into() => Err(SetupError::ProcMasked),
            mount => mount,
        },
        Source::Sys { new } => sysfs(api, new),
        Source::Dev => api.file_system(
            "tmpfs",
            &[("mode", "0755"), ("size", "64k")],
            MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV,
        ),
        Source::Asked(source) => asked(source, index, scratch, owners),
    }
}

/// Opens what the process asks for.
fn asked(
    source: MountSource,
    index: MountIndex,
    scratch: &Scratch,
    owners: Option<&mut InodeOwners>,
) -> Result<OwnedFd, SetupError> {
    let api = &scratch.api;
    match source {
        MountSource::Bind { tree, path, writable } => {
            let tree = match tree {
                Tree::Directory(dir) => {
                    rustix::fs::open(&dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                        .on("open", &dir)?
                }
                Tree::Overlay(overlay) => {
                    // Before Linux 6.15 a part can only be copied from an attached mount.
                    let at = scratch.path("trees").join(index.to_string());
                    fs::create_dir(&at).on("create", &at)?;
                    overlay.mount_at(&at)?
                }
            };
            part_of(api, tree.as_fd(), &path, writable)
        }
        MountSource::Tmpfs { size } => {
            let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
            let size = size.map(|bytes| bytes.to_string());
            let size = size.as_deref().map(|bytes| ("size", bytes));
            let options: Vec<_> = [("mode", "1777")].into_iter().chain(size).collect();
            api.file_system("tmpfs", &options, flags)
        }
        MountSource::File {
            content,
            mode,
            uid,
            gid,
        } => {
            let path = scratch.path("files").join(index.to_string());
            write_file(&path, &content, mode, (uid, gid), owners)?;
            protected(api, &path, false)
        }
        MountSource::Host { path, restrictions } => {
            let mount = copy(api, &path)?;
            let restrictions = restrictions.into_iter().map(attribute).collect();
            api.restrict(mount.as_fd(), restrictions)
                .on("restrict the mount of", path)?;
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

/// Makes a copy of the mount at a path of the host.
fn copy(api: &Api, path: &Path) -> Result<OwnedFd, SetupError> {
    let found = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).on("open", path)?;
    api.copy(found.as_fd()).on("mount", path)
}

/// Makes a copy of the mount at a path of the host, as harmless as it can be.
fn protected(api: &Api, path: &Path, writable: bool) -> Result<OwnedFd, SetupError> {
    let mount = copy(api, path)?;
    protect(api, mount.as_fd(), writable).on("protect the mount of", path)?;
    Ok(mount)
}

/// Makes a mount as harmless as it can be.
///
/// Root may make device nodes. Where croze has no user namespace of its own, nothing else would keep it from opening them.
fn protect(api: &Api, mount: BorrowedFd<'_>, writable: bool) -> io::Result<()> {
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NODEV;
    attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, !writable);
    api.restrict(mount, attributes)
}

/// Makes a mount of one path of a tree; no link of the tree leads out of it.
fn part_of(api: &Api, tree: BorrowedFd<'_>, path: &Path, writable: bool) -> Result<OwnedFd, SetupError> {
    let found = match open_in(tree, path) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Err(SetupError::SourceMissing { path: path.to_owned() }),
        found => found.on("open the mount source", path)?,
    };
    let mount = api.copy(found.as_fd()).on("mount", path)?;
    protect(api, mount.as_fd(), writable).on("protect the mount of", path)?;
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
fn write_file(
    path: &Path,
    content: &Content,
    mode: u32,
    (uid, gid): (u32, u32),
    owners: Option<&mut InodeOwners>,
) -> Result<(), SetupError> {
    let mut file = File::create_new(path).on("create", path)?;
    file.write_all(&content.0).on("write", path)?;
    match owners {
        Some(owners) => owners.note(&file, (uid, gid)).on("read the attributes of", path)?,
        None => chown(path, Some(uid), Some(gid)).on("change the owner of", path)?,
    }
    // After the owner: changing that takes setuid bits away.
    file.set_permissions(Permissions::from_mode(mode))
        .on("change the mode of", path)
}

fn sysfs(api: &Api, new: bool) -> Result<OwnedFd, SetupError> {
    if new {
        let flags = INERT | MountAttrFlags::MOUNT_ATTR_RDONLY;
        // Refused where parts of the visible one are masked; the host's is then what there is.
        if let Ok(mount) = api.file_system("sysfs", &[], flags) {
            return Ok(mount);
        }
    }
    protected(api, Path::new("/sys"), false)
}
