//! Programs as the kernel can start them that has another root than the step.
//!
//! Most programs are started by another one, which their file names by its path. The kernel would look for that on the
//! machine. It therefore gets a copy of the file which names the one in the tree by the machine's path of it.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fd::{AsFd, AsRawFd as _, OwnedFd};
use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create, openat};
use rustix::io::Errno;

use super::call::{Call, errno};
use super::elf::{HEADER, Headers, Interpreter};
use super::find::Last;
use super::place::HANDLE;
use super::specials::Inode;
use super::view::inode;

/// Longest name of an interpreter that the kernel takes.
const PATH_MAX: usize = 4096;

/// How many copies are kept for who starts the same programs again: each takes a descriptor, and the disk that it takes.
const MAX_COPIES: usize = 128;

/// The programs of one step.
#[derive(Debug)]
pub(super) struct Programs {
    /// Where copies are; none of them has a name.
    directory: OwnedFd,
    copies: Mutex<Copies>,
}

#[derive(Default, Debug)]
struct Copies {
    by_file: HashMap<Version, Arc<OwnedFd>>,
    /// The machine's path of what is a copy of.
    originals: HashMap<Inode, Vec<u8>>,
}

/// A file that has not changed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Version {
    inode: Inode,
    size: u64,
    changed: (i64, i64),
    interpreter: CString,
}

impl Programs {
    /// Prepares to make copies in an empty directory.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        Ok(Self {
            directory: rustix::fs::open(directory, HANDLE | OFlags::DIRECTORY, Mode::empty())?,
            copies: Mutex::default(),
        })
    }

    /// Returns what the kernel can start for a program's file: itself, or a copy.
    pub(super) fn startable(&self, call: &Call<'_>, program: &OwnedFd) -> Result<Arc<OwnedFd>, Errno> {
        let file = File::from(call.place.open(program, OFlags::RDONLY | OFlags::NONBLOCK)?);
        let Some(interpreter) = interpreter(&file) else {
            return Ok(Arc::new(file.into()));
        };
        let name = name(&file, &interpreter)?;
        let starter = call.find(super::call::AT_FDCWD, &name, Last::Follow)?;
        let starter = call.place.path(starter.as_fd())?;
        let metadata = file.metadata().map_err(|error| errno(&error))?;
        let version = Version {
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            interpreter: starter.clone(),
        };
        if let Some(copy) = self.copies().by_file.get(&version) {
            return Ok(Arc::clone(copy));
        }
        let copy = self.copy(file, &interpreter, &starter).map_err(|error| errno(&error))?;
        let path = call.place.path(program.as_fd())?.into_bytes();
        let (inode, copy) = (inode(&copy)?, Arc::new(copy));
        let mut copies = self.copies();
        copies.originals.insert(inode, path);
        if copies.by_file.len() >= MAX_COPIES {
            // Who runs one has it all the same.
            copies.by_file.clear();
        }
        copies.by_file.insert(version, Arc::clone(&copy));
        Ok(copy)
    }

    /// Returns the machine's path of what something is a copy of.
    pub(super) fn original(&self, copy: Inode) -> Option<Vec<u8>> {
        self.copies().originals.get(&copy).cloned()
    }

    /// Does the same for a number of an inode, as lists tell of them.
    pub(super) fn original_of_number(&self, number: u64) -> Option<Vec<u8>> {
        let copies = self.copies();
        let found = copies.originals.iter().find(|((_, inode), _)| *inode == number);
        found.map(|(_, path)| path.clone())
    }

    fn copy(&self, mut file: File, interpreter: &Interpreter, name: &CString) -> io::Result<OwnedFd> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let copy = match openat(&self.directory, c".", flags, Mode::RWXU) {
            Err(Errno::OPNOTSUPP | Errno::ISDIR) => memfd_create("program", MemfdFlags::CLOEXEC)?,
            made => made?,
        };
        let mut copy = File::from(copy);
        let end = io::copy(&mut file, &mut copy)?;
        for (place, bytes) in interpreter.replaced(end, name) {
            copy.write_all_at(&bytes, place)?;
        }
        // No program can be started that anybody could write to.
        let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
        Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
    }

    fn copies(&self) -> std::sync::MutexGuard<'_, Copies> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds out whether somebody else has to start a program.
fn interpreter(file: &File) -> Option<Interpreter> {
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, 0).ok()?;
    let headers = Headers::parse(&header)?;
    let mut table = vec![0; headers.size];
    file.read_exact_at(&mut table, headers.place).ok()?;
    headers.interpreter(&table)
}

fn name(file: &File, interpreter: &Interpreter) -> Result<CString, Errno> {
    if !(2..=PATH_MAX).contains(&interpreter.length) {
        return Err(Errno::NOEXEC);
    }
    let mut name = vec![0; interpreter.length];
    file.read_exact_at(&mut name, interpreter.place)
        .map_err(|_| Errno::NOEXEC)?;
    CString::from_vec_with_nul(name).map_err(|_| Errno::NOEXEC)
}
