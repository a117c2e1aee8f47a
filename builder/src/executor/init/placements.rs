//! What a sandbox with mounts would mount over the root file system, put into it for the time of a step.
//!
//! A directory that the step may write to is moved there and back. Everything else is a copy that is thrown away: nothing
//! short of a mount keeps root from writing to a file, but what a step writes to a copy reaches nobody.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{
    Access, AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, StatxAttributes, StatxFlags, access, fstat, linkat,
    mkdirat, openat, renameat_with, statat, statx,
};
use rustix::io::Errno;
use snapshotter::{Attributes, Inodes, Ownership, Root, duplicate};

use super::locate::{Location, locate};
use super::mounts::open_in;
use crate::executor::process::{Content, MountSource, Tree};
use crate::executor::setup_error::{OnPath, SetupError};
use crate::swap::{Placement, Stay, Turn};

/// Mode of a directory that stands for a tmpfs.
const TMPFS_MODE: u32 = 0o1777;

/// Something that is to be placed, found before `/` is exchanged: by then it may have another path.
pub(super) struct Wanted {
    target: PathBuf,
    what: What,
}

/// What is to be placed.
enum What {
    /// A directory that is written through.
    Writable(Entry),
    /// A file or directory of which there will be a copy.
    Copy(Entry),
    /// A socket.
    Socket(Entry),
    /// An empty directory.
    Empty,
    /// A new file.
    File(Content, Attributes),
}

/// A name in a directory.
struct Entry {
    dir: OwnedFd,
    path: PathBuf,
    is_directory: bool,
}

/// Something that was placed.
pub(super) struct Placed {
    /// The directory whose entries have changed, without links in its path.
    pub(super) directory: PathBuf,
    /// What was covered.
    pub(super) covered: Option<PathBuf>,
    /// Where what the step has written is to be copied: it could not be moved.
    copied_back: Option<(PathBuf, Entry)>,
}

impl Wanted {
    /// Finds what is to be placed at a target.
    pub(super) fn find(target: PathBuf, source: MountSource) -> Result<Self, SetupError> {
        let what = match source {
            MountSource::Bind { tree, path, writable } => {
                let Tree::Directory(dir) = tree else {
                    return Err(SetupError::CannotPlace { target });
                };
                let entry = Entry::in_tree(&dir, &path)?;
                if writable {
                    What::Writable(entry)
                } else {
                    What::Copy(entry)
                }
            }
            MountSource::Tmpfs { size: _ } => What::Empty,
            MountSource::File {
                content,
                mode,
                uid,
                gid,
            } => What::File(content, Attributes { uid, gid, mode }),
            MountSource::Host { path, restrictions: _ } => {
                let entry = Entry::at(path)?;
                match entry.file_type()? {
                    FileType::Socket => What::Socket(entry),
                    _ => What::Copy(entry),
                }
            }
        };
        Ok(Self { target, what })
    }

    /// Places it in the step's tree, whose top is at `root`. Owners are the kernel's or noted.
    ///
    /// A volume of the container cannot be covered, but what is there may do.
    pub(super) fn place(
        self,
        turn: &Turn<'_>,
        root: &Path,
        ownership: Ownership,
    ) -> Result<Option<Placed>, SetupError> {
        let Self { target, what } = self;
        let top = openat(
            CWD,
            root,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .on("open", root)?;
        let location = locate(top.as_fd(), &target).on("find the mount point", &target)?;
        what.fits(&location, &target)?;
        let here = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
        let (path, missing) = (here(&location.path()), location.missing.len());
        let is_in_top = location.existing == Path::new("/") && root == Path::new("/");
        if missing > 0 && is_in_top && ownership == Ownership::Emulated {
            let top = path.components().take(2).collect();
            return Err(SetupError::NoPlace { path: top });
        }
        let directory = match path.parent() {
            Some(parent) if missing == 0 => parent.to_owned(),
            Some(_) => here(&location.existing),
            None => return Err(SetupError::TargetIsRoot { target }),
        };
        let placement = |stay| Placement {
            target: path.clone(),
            missing,
            stay,
        };
        let is_mount = missing == 0 && is_mount_point(&location.fd)?;
        let covered = (missing == 0 && !is_mount).then(|| path.clone());
        let mut copied_back = None;
        match what {
            // A tmpfs of the container's own, `/dev/shm`.
            What::Empty if is_mount => return Ok(None),
            What::File(..) if is_mount && !is_writable(&location.fd) => return Err(SetupError::CannotPlace { target }),
            What::File(content, _) if is_mount => turn.place(placement(Stay::Overwritten), |dir, name| {
                let open = OFlags::WRONLY | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mut file = File::from(openat(dir, name, open, Mode::empty()).on("open", &path)?);
                file.write_all(&content.0).on("write", &path)
            })?,
            What::Copy(entry) if entry.is(&location.fd)? => return Ok(None),
            _ if is_mount => return Err(SetupError::CannotPlace { target }),
            What::Writable(entry) if is_same_mount(&entry.dir, &location.fd)? => {
                turn.place(placement(Stay::Moved { from: entry.path }), |_, _| {
                    Ok::<_, SetupError>(())
                })?;
            }
            What::Writable(entry) => {
                turn.place(placement(Stay::Made), |dir, name| entry.copy_to(dir, name))?;
                copied_back = Some((path.clone(), entry));
            }
            What::Copy(entry) => turn.place(placement(Stay::Made), |dir, name| entry.copy_to(dir, name))?,
            What::Socket(entry) => turn.place(placement(Stay::Made), |dir, name| {
                linkat(&entry.dir, entry.name(), dir, name, AtFlags::empty()).on("link", &entry.path)
            })?,
            What::Empty => turn.place(placement(Stay::Made), |dir, name| {
                make_directory((dir, name), ownership)
            })?,
            What::File(content, attributes) => turn.place(placement(Stay::Made), |dir, name| {
                write_file((dir, name), &content, attributes, ownership)
            })?,
        }
        Ok(Some(Placed {
            directory,
            covered,
            copied_back,
        }))
    }
}

impl What {
    /// Checks that a directory will be where a directory is, or nothing.
    fn fits(&self, location: &Location, target: &Path) -> Result<(), SetupError> {
        let directory = match self {
            Self::Writable(entry) | Self::Copy(entry) => entry.is_directory,
            Self::Empty => true,
            Self::Socket(_) | Self::File(..) => false,
        };
        if location.existing == Path::new("/") && location.missing.is_empty() {
            return Err(SetupError::TargetIsRoot {
                target: target.to_owned(),
            });
        }
        let found = FileType::from_raw_mode(fstat(&location.fd).on("stat", target)?.st_mode) == FileType::Directory;
        if location.missing.is_empty() && found != directory {
            return Err(SetupError::TargetKind {
                target: target.to_owned(),
                directory,
            });
        }
        Ok(())
    }
}

impl Placed {
    /// Brings what the step has written to where it belongs, before the step's tree is taken away.
    pub(super) fn copy_back(&self) -> Result<(), SetupError> {
        let Some((target, entry)) = &self.copied_back else {
            return Ok(());
        };
        let written = Entry::at(target.clone())?;
        if !written.is_directory {
            return Ok(());
        }
        let mut new = entry.name().to_owned();
        new.push(".new");
        let parent = Root::from_fd(entry.dir.try_clone().on("use", &entry.path)?);
        parent.remove_tree(Path::new(&new))?;
        written.copy_to(entry.dir.as_fd(), &new)?;
        renameat_with(&entry.dir, &new, &entry.dir, entry.name(), RenameFlags::EXCHANGE).on("replace", &entry.path)?;
        Ok(parent.remove_tree(Path::new(&new))?)
    }
}

impl Entry {
    /// Finds a path within a directory of croze's own; no link leads out of it.
    fn in_tree(dir: &Path, path: &Path) -> Result<Self, SetupError> {
        let tree = openat(
            CWD,
            dir,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .on("open", dir)?;
        let location = match locate(tree.as_fd(), path) {
            Err(Errno::NOTDIR) => return Err(SetupError::SourceMissing { path: path.to_owned() }),
            location => location.on("open the mount source", path)?,
        };
        if !location.missing.is_empty() {
            return Err(SetupError::SourceMissing { path: path.to_owned() });
        }
        let below = location.existing.strip_prefix("/").unwrap_or(&location.existing);
        Self::at(if below.as_os_str().is_empty() {
            dir.to_owned()
        } else {
            dir.join(below)
        })
    }

    fn at(path: PathBuf) -> Result<Self, SetupError> {
        let root = openat(
            CWD,
            "/",
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .on("open", "/")?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        let dir = open_in(root.as_fd(), parent).on("open", parent)?;
        let entry = Self {
            dir,
            path,
            is_directory: false,
        };
        let is_directory = entry.file_type()? == FileType::Directory;
        Ok(Self { is_directory, ..entry })
    }

    fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    fn file_type(&self) -> Result<FileType, SetupError> {
        let stat = statat(&self.dir, self.name(), AtFlags::SYMLINK_NOFOLLOW).on("stat", &self.path)?;
        Ok(FileType::from_raw_mode(stat.st_mode))
    }

    /// Whether it is what an open file is.
    fn is(&self, other: &OwnedFd) -> Result<bool, SetupError> {
        let one = statat(&self.dir, self.name(), AtFlags::SYMLINK_NOFOLLOW).on("stat", &self.path)?;
        let other = fstat(other).on("stat", &self.path)?;
        Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
    }

    fn copy_to(&self, into: BorrowedFd<'_>, name: &OsStr) -> Result<(), SetupError> {
        Ok(duplicate((self.dir.as_fd(), self.name()), (into, name))?)
    }
}

/// Whether a name can be moved from one directory to the other.
fn is_same_mount(one: &OwnedFd, other: &OwnedFd) -> Result<bool, SetupError> {
    let mount = |fd: &OwnedFd| statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).map(|stat| stat.stx_mnt_id);
    let (one, other) = (
        mount(one).on("stat", "a mount source")?,
        mount(other).on("stat", "a mount point")?,
    );
    Ok(one == other)
}

fn is_mount_point(fd: &OwnedFd) -> Result<bool, SetupError> {
    let stat = statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::TYPE).on("stat", "a mount point")?;
    Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Whether this process may write to an open file.
fn is_writable(fd: &OwnedFd) -> bool {
    access(format!("/proc/self/fd/{}", fd.as_raw_fd()), Access::WRITE_OK).is_ok()
}

fn make_directory((dir, name): (BorrowedFd<'_>, &OsStr), ownership: Ownership) -> Result<(), SetupError> {
    mkdirat(dir, name, Mode::RWXU).on("create", name)?;
    let made = openat(
        dir,
        name,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    );
    let attributes = Attributes {
        uid: 0,
        gid: 0,
        mode: TMPFS_MODE,
    };
    let made = made.on("open", name)?;
    Inodes::new(ownership)
        .dress(made.as_fd(), FileType::Directory, attributes)
        .on("set the mode of", name)
}

fn write_file(
    (dir, name): (BorrowedFd<'_>, &OsStr),
    content: &Content,
    attributes: Attributes,
    ownership: Ownership,
) -> Result<(), SetupError> {
    let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(dir, name, create, Mode::RUSR | Mode::WUSR).on("create", name)?);
    file.write_all(&content.0).on("write", name)?;
    Inodes::new(ownership)
        .dress(file.as_fd(), FileType::RegularFile, attributes)
        .on("set the owner and mode of", name)
}
