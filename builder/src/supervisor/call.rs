//! One system call that waits for its answer, and whoever makes it.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags, openat, statat};
use rustix::io::Errno;
use rustix::process::Pid;

use super::Step;
use super::credentials::Credentials;
use super::place::Place;
use super::state::Tag;
use crate::sys::{self, Notification};

/// Longest path that the kernel takes, with its terminator.
const PATH_MAX: usize = 4096;

/// What is read at first: most paths are no longer, and a page border is respected anyway.
const PATH_GUESS: usize = 256;

const PAGE: u64 = 4096;

/// The descriptor that means the working directory.
pub(super) const AT_FDCWD: i32 = libc::AT_FDCWD;

/// What a call is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reply {
    /// It returns this.
    Value(i64),
    /// The kernel performs it.
    Continue,
    /// It has been told already.
    Told,
}

/// It returns 0.
pub(super) const DONE: Reply = Reply::Value(0);

/// What becomes of a call: an answer, or the error that it fails with.
pub(super) type Outcome = Result<Reply, Errno>;

/// A call that waits.
pub(super) struct Call<'a> {
    /// What all threads of the supervisor share.
    pub(super) step: &'a Step,
    /// Where this thread stands.
    pub(super) place: &'a Place,
    pub(super) notification: Notification,
    /// What is written on the caller's process.
    pub(super) tag: Tag,
    /// Whom the calling thread takes itself for.
    pub(super) credentials: Arc<Credentials>,
}

impl<'a> Call<'a> {
    /// Finds out who calls.
    pub(super) fn new(step: &'a Step, place: &'a Place, notification: Notification) -> Result<Self, Errno> {
        step.starts.settle(place, &step.states, notification.thread)?;
        let states = step.states.of(place, notification.thread);
        let (tag, credentials) = states.map_err(|error| errno(&error))?;
        Ok(Self {
            step,
            place,
            notification,
            tag,
            credentials,
        })
    }

    /// Returns an argument.
    pub(super) fn argument(&self, index: usize) -> u64 {
        self.notification.arguments[index]
    }

    /// Returns an argument that has 32 bits.
    pub(super) fn word(&self, index: usize) -> u32 {
        self.argument(index) as u32
    }

    /// Returns an argument that is a descriptor.
    pub(super) fn descriptor(&self, index: usize) -> i32 {
        self.word(index).cast_signed()
    }

    /// The thread that calls.
    pub(super) fn thread(&self) -> Pid {
        self.notification.thread
    }

    /// Fails if the caller waits no more. Until then its number is its own; later it may be that of somebody else, about whom
    /// what was found by it is.
    fn still_waits(&self) -> Result<(), Errno> {
        if sys::is_pending(self.step.listener(), self.notification.id) {
            Ok(())
        } else {
            Err(Errno::SRCH)
        }
    }

    /// Reads memory of the caller.
    pub(super) fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        match sys::read_memory(self.thread(), address, buffer) {
            Ok(length) if length == buffer.len() => self.still_waits(),
            Ok(_) => Err(Errno::FAULT),
            Err(error) => Err(errno(&error)),
        }
    }

    /// Reads a number of 32 bits.
    pub(super) fn read_word(&self, address: u64) -> Result<u32, Errno> {
        let mut bytes = [0; 4];
        self.read(address, &mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    }

    /// Writes memory of the caller.
    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.still_waits()?;
        match sys::write_memory(self.thread(), address, bytes) {
            Ok(length) if length == bytes.len() => Ok(()),
            Ok(_) => Err(Errno::FAULT),
            Err(error) => Err(errno(&error)),
        }
    }

    /// Writes memory of the caller even where the caller itself may not.
    pub(super) fn overwrite(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        // What was opened stays the memory of whoever had the number then: of the caller, if that still waits now.
        let memory = sys::open_memory(self.thread()).map_err(|error| errno(&error))?;
        self.still_waits()?;
        memory.write_all_at(bytes, address).map_err(|error| errno(&error))
    }

    /// Reads a path or another text that ends with a zero byte.
    pub(super) fn read_path(&self, address: u64) -> Result<CString, Errno> {
        let mut bytes = Vec::with_capacity(PATH_GUESS);
        while bytes.len() < PATH_MAX {
            let start = address + bytes.len() as u64;
            let to_border = usize::try_from(PAGE - start % PAGE).unwrap_or(PATH_GUESS);
            let wanted = if bytes.is_empty() { PATH_GUESS } else { PATH_MAX };
            let old = bytes.len();
            bytes.resize(old + wanted.min(to_border), 0);
            self.read(start, &mut bytes[old..])?;
            if let Some(end) = bytes[old..].iter().position(|byte| *byte == 0) {
                bytes.truncate(old + end);
                return CString::new(bytes).map_err(|_| Errno::INVAL);
            }
        }
        Err(Errno::NAMETOOLONG)
    }

    /// Opens the caller's descriptor, or its working directory, as a handle.
    pub(super) fn open_descriptor(&self, descriptor: i32) -> Result<OwnedFd, Errno> {
        let file = self.handle_of(descriptor)?;
        match &self.step.ground.top {
            Some(top) if top.is_own(self.place, &file)? => Err(Errno::ACCESS),
            _ => Ok(file),
        }
    }

    fn handle_of(&self, descriptor: i32) -> Result<OwnedFd, Errno> {
        if descriptor == AT_FDCWD {
            return self.of_caller("cwd");
        }
        match self.of_caller(format_args!("fd/{descriptor}")) {
            Err(Errno::NOENT) => Err(Errno::BADF),
            found => found,
        }
    }

    /// Opens the caller's root directory as a handle.
    pub(super) fn root(&self) -> Result<OwnedFd, Errno> {
        self.of_caller("root")
    }

    fn of_caller(&self, name: impl std::fmt::Display) -> Result<OwnedFd, Errno> {
        let file = self.place.of_thread(self.thread(), name)?;
        self.still_waits()?;
        Ok(file)
    }

    /// Returns the call as it would be if somebody else made it.
    pub(super) fn made_by(&self, credentials: Credentials) -> Self {
        Self {
            credentials: Arc::new(credentials),
            ..*self
        }
    }

    /// Returns the number that a process has to the caller; `None` if the caller cannot see it.
    pub(super) fn number_of(&self, process: Pid) -> Result<Option<i32>, Errno> {
        let (_, own) = self.place.numbers_of(self.thread())?;
        let (_, numbers) = self.place.numbers_of(process)?;
        Ok(numbers.last().copied().filter(|_| numbers.len() == own.len()))
    }

    /// Returns whether a number is the calling thread's own, as it sees itself.
    pub(super) fn is_own_number(&self, number: i32) -> Result<bool, Errno> {
        Ok(self.number_of(self.thread())? == Some(number))
    }

    /// Changes what is written on the caller's process beside its credentials.
    pub(super) fn retag(&self, change: impl FnOnce(Tag) -> Tag) -> Result<(), Errno> {
        self.step
            .states
            .retag(self.thread(), change)
            .map_err(|error| errno(&error))
    }

    /// Gives the calling thread other credentials.
    pub(super) fn become_other(&self, credentials: Credentials) -> Result<(), Errno> {
        if credentials == *self.credentials {
            return Ok(());
        }
        let siblings = self.siblings()?;
        let changed = self
            .step
            .states
            .change(self.place, self.thread(), &siblings, credentials);
        // What the kernel says where a user has too many processes: programs know it of these calls.
        changed.map_err(|_| Errno::AGAIN)
    }

    /// Returns the threads of the caller's process.
    fn siblings(&self) -> Result<Vec<Pid>, Errno> {
        let path = format!("{}/task", self.thread().as_raw_pid());
        // Two for the directory itself, and one for each thread.
        if statat(&self.place.proc, &path, AtFlags::empty())?.st_nlink <= 3 {
            return Ok(vec![self.thread()]);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let tasks = openat(&self.place.proc, &path, flags, Mode::empty())?;
        let entries = rustix::fs::Dir::new(tasks)?;
        let number = |name: &CStr| Pid::from_raw(name.to_str().ok()?.parse().ok()?);
        Ok(entries.filter_map(|entry| number(entry.ok()?.file_name())).collect())
    }
}

/// Returns the error number of an I/O error.
pub(super) fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
