//! Walking a tree in a fixed order with a bounded number of open directories.
//!
//! Names come sorted by their bytes, each directory before what is in it, so that two walks of equal trees are
//! equal. Only directory descriptors are used: depth is limited neither by `PATH_MAX` nor by the number of files a
//! process may hold open.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{FileType, Mode, RawDir, openat};
use rustix::io::Errno;

use crate::error::{FsError, OnPath as _};
use crate::root::{DIR_FLAGS, Root};

/// How many directories of one walk are open at the same time.
const MAX_OPEN: usize = 64;

/// Where `getdents` writes: few calls per directory, small enough for the stack of any thread.
const BUFFER: usize = 32 * 1024;

/// One name that the walk met.
pub struct Place<'a> {
    /// The directory that holds the name.
    pub dir: BorrowedFd<'a>,
    /// The last component.
    pub name: &'a CStr,
    /// The components from the start of the walk, without a leading slash.
    pub path: &'a Path,
    /// The type as the directory gives it; some file systems say `Unknown`.
    pub file_type: FileType,
}

/// What the walk does after a visit.
pub enum Next {
    /// Goes on with the next name.
    Pass,
    /// Goes into the directory, which the visitor has opened.
    Enter(OwnedFd),
}

/// What is done at each name.
pub trait Visitor {
    /// What can go wrong beside the walk itself.
    type Error: From<FsError>;

    /// Looks at a name.
    fn visit(&mut self, place: &Place<'_>) -> Result<Next, Self::Error>;

    /// Comes back to a name that was entered, after everything in it.
    fn leave(&mut self, _place: &Place<'_>) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Decides about a directory that the walk was in and that has lost its name meanwhile: on success the walk passes
    /// over what it had still to show of it.
    fn lose(&mut self, error: FsError) -> Result<(), Self::Error> {
        Err(error.into())
    }
}

/// Opens the directory at a place, for [`Next::Enter`].
pub fn open_dir(place: &Place<'_>) -> Result<OwnedFd, FsError> {
    openat(place.dir, place.name, DIR_FLAGS, Mode::empty()).on("open directory", place.path)
}

/// Shows everything below `start` to the visitor.
pub fn walk<V: Visitor>(start: OwnedFd, visitor: &mut V) -> Result<(), V::Error> {
    let mut stack = Stack {
        path: Vec::new(),
        levels: Vec::new(),
    };
    let root = Root::from_fd(start.try_clone().on("duplicate the handle of", "")?);
    stack.levels.push(Level::read(start, Path::new(""))?);
    while let Some(level) = stack.levels.last_mut() {
        let parent_length = level.path_length;
        stack.path.truncate(parent_length);
        if let Some((name, file_type)) = level.names.current() {
            let dir = match &mut level.dir {
                Some(dir) => dir,
                closed => match root.open_dir(Path::new(std::ffi::OsStr::from_bytes(&stack.path))) {
                    Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
                        visitor.lose(error)?;
                        stack.levels.pop();
                        continue;
                    }
                    opened => closed.insert(opened?),
                },
            };
            if parent_length > 0 {
                stack.path.push(b'/');
            }
            stack.path.extend_from_slice(name.to_bytes());
            let path = Path::new(std::ffi::OsStr::from_bytes(&stack.path));
            let place = Place {
                dir: dir.as_fd(),
                name,
                path,
                file_type,
            };
            if level.inside {
                visitor.leave(&place)?;
                level.inside = false;
                level.names.advance();
                continue;
            }
            match visitor.visit(&place)? {
                Next::Pass => level.names.advance(),
                Next::Enter(entered) => {
                    level.inside = true;
                    let mut entered = Level::read(entered, path)?;
                    entered.path_length = stack.path.len();
                    stack.push(entered);
                }
            }
        } else {
            stack.levels.pop();
        }
    }
    Ok(())
}

/// The directories from the start of the walk to where it is.
struct Stack {
    path: Vec<u8>,
    levels: Vec<Level>,
}

impl Stack {
    /// Goes one level down; closes a directory far above, to be opened again should it still have names.
    fn push(&mut self, level: Level) {
        self.levels.push(level);
        if let Some(far) = self.levels.len().checked_sub(MAX_OPEN) {
            self.levels[far].dir = None;
        }
    }
}

/// One directory on the way.
struct Level {
    dir: Option<OwnedFd>,
    names: Names,
    /// Length of this directory's own path.
    path_length: usize,
    /// Whether the walk is inside of the current name.
    inside: bool,
}

impl Level {
    fn read(dir: OwnedFd, path: &Path) -> Result<Self, FsError> {
        let names = Names::read(dir.as_fd()).on("list", path)?;
        Ok(Self {
            dir: Some(dir),
            names,
            path_length: 0,
            inside: false,
        })
    }
}

/// The sorted names of one directory, in one piece of memory.
struct Names {
    bytes: Vec<u8>,
    /// Start of each name in `bytes`, where it ends with NUL.
    index: Vec<(usize, FileType)>,
    next: usize,
}

impl Names {
    fn read(dir: BorrowedFd<'_>) -> Result<Self, Errno> {
        let mut names = Self {
            bytes: Vec::new(),
            index: Vec::new(),
            next: 0,
        };
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut entries = RawDir::new(dir, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = match entry {
                // Somebody has removed the directory since it was opened.
                Err(Errno::NOENT) => break,
                entry => entry?,
            };
            let name = entry.file_name().to_bytes_with_nul();
            if !matches!(name, b".\0" | b"..\0") {
                names.index.push((names.bytes.len(), entry.file_type()));
                names.bytes.extend_from_slice(name);
            }
        }
        let bytes = &names.bytes;
        // Comparing up to the end of the whole memory is right: the NUL after the shorter name decides.
        names.index.sort_unstable_by(|a, b| bytes[a.0..].cmp(&bytes[b.0..]));
        Ok(names)
    }

    fn current(&self) -> Option<(&CStr, FileType)> {
        let &(start, file_type) = self.index.get(self.next)?;
        let name = CStr::from_bytes_until_nul(&self.bytes[start..]).ok()?;
        Some((name, file_type))
    }

    fn advance(&mut self) {
        self.next += 1;
    }
}
