//! Where a thread of the supervisor stands: in the step's mount namespace, with its own `/proc` at hand.
//!
//! Every path of a step is resolved by the kernel as the step would have it resolved, because the thread has the same
//! root directory. Its working directory is `/proc/self/fd` of the supervisor itself, where a number is the name of a
//! descriptor: the only way to extended attributes and modes of what is open as a mere handle (`O_PATH`).
//!
//! Where a container allows a thread no directories of its own, the step's root is a [`View`] instead.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read as _};
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use nix::sched::{CloneFlags, setns, unshare};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, MemfdFlags, Mode, OFlags, PROC_SUPER_MAGIC, XattrFlags, chmodat, fstat, getxattr, linkat, listxattr,
    memfd_create, open, openat, readlinkat, removexattr, setxattr, stat, statfs,
};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, fchdir, umask};

use super::calls::Needs;
use super::top_names::{Top, TopNames};
use super::view::View;

/// Flags of a handle.
pub(super) const HANDLE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// Where the files of a step are, as its supervisor sees them. The one thing that differs between steps with a mount
/// namespace and steps without.
pub struct Ground {
    /// The mount namespace whose root is the step's, unless the supervisor has the same root anyway.
    namespace: Option<OwnedFd>,
    /// The tree whose top is the step's root, if that is neither.
    view: Option<Arc<View>>,
    /// The supervisor's own procfs: a thread that is started by one that has entered begins where that one is.
    proc: OwnedFd,
    /// The names in `/`, if the step cannot change them.
    pub(super) top: Option<TopNames>,
}

impl Ground {
    /// Returns the mount namespace that a process is in. It lives on for as long as this value does.
    pub fn of(process: Pid) -> io::Result<Self> {
        let path = format!("/proc/{}/ns/mnt", process.as_raw_pid());
        let namespace = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self {
            namespace: Some(namespace),
            ..Self::own()?
        })
    }

    /// Returns what a directory holds that is a step's root, and the machine's `/dev`, `/proc` and `/sys`. `programs` is an
    /// empty directory for a step that has not changed its root to it. This process must not have another root, nor go
    /// anywhere.
    pub fn in_tree(root: &Path, programs: Option<&Path>) -> io::Result<Self> {
        // What is made here is made with the mask of whoever asks for it.
        umask(Mode::empty());
        Ok(Self {
            view: Some(Arc::new(View::open(root, programs)?)),
            ..Self::own()?
        })
    }

    /// Returns what this process itself has below its root directory.
    pub fn own() -> io::Result<Self> {
        let proc = open("/proc", HANDLE | OFlags::DIRECTORY, Mode::empty())?;
        Ok(Self {
            namespace: None,
            view: None,
            proc,
            top: None,
        })
    }

    /// Returns the same with names in `/` that the step cannot change.
    pub fn below(top: Top) -> io::Result<Self> {
        Ok(Self {
            top: Some(TopNames::look(top)?),
            ..Self::own()?
        })
    }

    /// Returns what a step needs there.
    pub(super) fn needs(&self) -> Needs {
        match (&self.view, &self.top) {
            (Some(view), _) if view.programs().is_some() => Needs::OwnersAndPaths,
            (Some(_), _) => Needs::OwnersAndWindows,
            (None, Some(_)) => Needs::OwnersAndTop,
            (None, None) => Needs::Owners,
        }
    }
}

/// What a thread that has entered the ground works with; bound to that thread.
pub(super) struct Place {
    /// The supervisor's own procfs, in which the threads of the step have the numbers that notifications tell.
    pub(super) proc: OwnedFd,
    /// File systems that are not the image's.
    pub(super) foreign: ForeignDevices,
    /// What the step sees, if that is not what this thread does.
    pub(super) view: Option<Arc<View>>,
    /// Path of the directory in which numbers are the names of descriptors, with a slash, unless that is the working
    /// directory.
    descriptors: &'static str,
    thread_bound: PhantomData<*const ()>,
}

/// The device numbers of file systems whose files have owners that are found in other ways than those of the image.
pub(super) struct ForeignDevices {
    /// The supervisor's own procfs.
    pub(super) own_proc: u64,
    /// The step's procfs.
    pub(super) proc: Option<u64>,
    /// Where pipes, sockets, files in memory and terminals are, each of which belongs to its maker.
    makers: Vec<u64>,
}

impl ForeignDevices {
    fn find(own_proc: &OwnedFd) -> io::Result<Self> {
        let (pipe, _) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        let memory = memfd_create("supervisor", MemfdFlags::CLOEXEC)?;
        let mut makers = Vec::new();
        for made in [pipe, socket, memory] {
            makers.push(fstat(made)?.st_dev);
        }
        makers.extend(stat("/dev/pts").ok().map(|terminals| terminals.st_dev));
        let is_proc = |path| statfs(path).is_ok_and(|system| system.f_type == PROC_SUPER_MAGIC);
        Ok(Self {
            own_proc: fstat(own_proc)?.st_dev,
            proc: if is_proc("/proc") {
                Some(stat("/proc")?.st_dev)
            } else {
                None
            },
            makers,
        })
    }

    /// Returns whether files there belong to whoever has made them, which nobody has seen.
    pub(super) fn belong_to_makers(&self, device: u64) -> bool {
        self.makers.contains(&device)
    }

    /// Returns whether files there are about processes.
    pub(super) fn are_about_processes(&self, device: u64) -> bool {
        device == self.own_proc || Some(device) == self.proc
    }
}

impl Place {
    /// Makes this thread enter the ground. It keeps nothing in common with the other threads' directories, unless a
    /// container forbids that: then the whole process stands there.
    pub(super) fn enter(ground: &Ground) -> io::Result<Self> {
        if ground.view.is_some() {
            // It stays where it is, because the container may allow nothing else.
            let proc = ground.proc.try_clone()?;
            return Ok(Self {
                foreign: ForeignDevices::find(&proc)?,
                proc,
                view: ground.view.clone(),
                descriptors: "/proc/self/fd/",
                thread_bound: PhantomData,
            });
        }
        match unshare(CloneFlags::CLONE_FS) {
            Err(nix::errno::Errno::EPERM) if ground.namespace.is_none() => {}
            unshared => unshared?,
        }
        let proc = ground.proc.try_clone()?;
        if let Some(namespace) = &ground.namespace {
            setns(namespace, CloneFlags::CLONE_NEWNS)?;
        }
        fchdir(openat(&proc, "self/fd", HANDLE | OFlags::DIRECTORY, Mode::empty())?)?;
        // What is made here is made with the mask of whoever asks for it.
        umask(Mode::empty());
        Ok(Self {
            foreign: ForeignDevices::find(&proc)?,
            proc,
            view: None,
            descriptors: "",
            thread_bound: PhantomData,
        })
    }

    /// Opens a file of the supervisor's procfs about a thread as a handle.
    pub(super) fn of_thread(&self, thread: Pid, name: impl std::fmt::Display) -> Result<OwnedFd, Errno> {
        openat(
            &self.proc,
            format!("{}/{name}", thread.as_raw_pid()),
            HANDLE,
            Mode::empty(),
        )
    }

    /// Returns when a thread was started, in ticks since the machine was.
    pub(super) fn started(&self, thread: Pid) -> io::Result<u64> {
        let stat = self.text_of_thread(thread, "stat")?;
        // The name of the program, in parentheses, may hold anything; the twentieth field after it is the time.
        let field = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(19));
        let time = field.and_then(|field| field.parse().ok());
        time.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Returns the process that a thread belongs to.
    pub(super) fn process_of(&self, thread: Pid) -> Result<Pid, Errno> {
        let status = self.text_of_thread(thread, "status").map_err(|_| Errno::SRCH)?;
        let number = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
        number
            .and_then(|number| Pid::from_raw(number.trim().parse().ok()?))
            .ok_or(Errno::SRCH)
    }

    /// Returns whether a process descends from this one.
    pub(super) fn is_below(&self, process: Pid) -> bool {
        let own = rustix::process::getpid();
        let mut at = Some(process);
        while let Some(process) = at.filter(|at| *at != own) {
            let status = self.text_of_thread(process, "status").unwrap_or_default();
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
            at = parent.and_then(|parent| Pid::from_raw(parent.trim().parse().ok()?));
        }
        at.is_some() && process != own
    }

    /// Returns the numbers of a thread in all pid namespaces that it is in, from the supervisor's own inwards: those of
    /// its process, and its own.
    pub(super) fn numbers_of(&self, thread: Pid) -> Result<(Vec<i32>, Vec<i32>), Errno> {
        let status = self.text_of_thread(thread, "status").map_err(|_| Errno::SRCH)?;
        let numbers = |name| {
            let numbers = status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_default();
            numbers
                .split_whitespace()
                .filter_map(|number| number.parse().ok())
                .collect()
        };
        Ok((numbers("NStgid:"), numbers("NSpid:")))
    }

    fn text_of_thread(&self, thread: Pid, name: &str) -> io::Result<String> {
        let path = format!("{}/{name}", thread.as_raw_pid());
        let mut file = File::from(openat(
            &self.proc,
            path,
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )?);
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        // A program may have any name.
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Returns the value of an extended attribute of a handle, or `None` if it has none.
    pub(super) fn xattr<'a>(
        &self,
        handle: BorrowedFd<'_>,
        name: impl rustix::path::Arg,
        value: &'a mut [u8],
    ) -> Result<Option<&'a [u8]>, Errno> {
        match getxattr(self.name_of(handle), name, &mut *value) {
            Ok(length) => Ok(value.get(..length)),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets an extended attribute of a handle.
    pub(super) fn set_xattr(
        &self,
        handle: BorrowedFd<'_>,
        name: impl rustix::path::Arg,
        value: &[u8],
        flags: XattrFlags,
    ) -> Result<(), Errno> {
        setxattr(self.name_of(handle), name, value, flags)
    }

    /// Removes an extended attribute of a handle.
    pub(super) fn remove_xattr(&self, handle: BorrowedFd<'_>, name: impl rustix::path::Arg) -> Result<(), Errno> {
        removexattr(self.name_of(handle), name)
    }

    /// Returns the names of the extended attributes of a handle, each with its terminator.
    pub(super) fn xattr_names(&self, handle: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
        let mut names = vec![0; 64 << 10];
        let length = listxattr(self.name_of(handle), &mut *names)?;
        names.truncate(length);
        Ok(names)
    }

    /// Sets the mode that a file has on disk.
    pub(super) fn set_mode(&self, handle: BorrowedFd<'_>, mode: u32) -> Result<(), Errno> {
        chmodat(CWD, self.name_of(handle), Mode::from_raw_mode(mode), AtFlags::empty())
    }

    /// Returns the path of a handle.
    pub(super) fn path(&self, handle: BorrowedFd<'_>) -> Result<CString, Errno> {
        readlinkat(CWD, self.name_of(handle), Vec::new())
    }

    /// Gives what a handle stands for a further name.
    pub(super) fn link(&self, handle: impl AsFd, directory: impl AsFd, name: &CStr) -> Result<(), Errno> {
        linkat(
            CWD,
            self.name_of(handle.as_fd()),
            directory,
            name,
            AtFlags::SYMLINK_FOLLOW,
        )
    }

    /// Opens what a handle stands for.
    pub(super) fn open(&self, handle: impl AsFd, flags: OFlags) -> Result<OwnedFd, Errno> {
        self.open_with(handle, flags, Mode::empty())
    }

    /// Opens what a handle stands for, or makes a file without a name in it.
    pub(super) fn open_with(&self, handle: impl AsFd, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        openat(CWD, self.name_of(handle.as_fd()), flags | OFlags::CLOEXEC, mode)
    }

    /// Opens what lies at a path below the step's root as a handle. Nothing is followed, and no window is looked through.
    pub(super) fn open_in_tree(&self, path: &Path) -> Result<OwnedFd, Errno> {
        match &self.view {
            None => open(Path::new("/").join(path), HANDLE | OFlags::NOFOLLOW, Mode::empty()),
            Some(view) => view.open_in_tree(path),
        }
    }

    /// Returns a path that leads to what a handle stands for.
    pub(super) fn name_of(&self, handle: BorrowedFd<'_>) -> String {
        format!("{}{}", self.descriptors, handle.as_raw_fd())
    }
}
