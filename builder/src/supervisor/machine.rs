//! The machine's own files, which a step sees through a window: what it makes of their owners and modes is its own affair.
//! `chmod 666 /dev/null` and its like succeed, as in a container with a `/dev` of its own, and change nothing outside.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::FileType;
use rustix::io::Errno;

use super::attributes::Meaning;
use super::call::Call;
use super::shown;
use super::specials::Inode;

/// How many files a step can do this to: as many as there are devices and terminals, and no more memory than that.
const MAX_FILES: usize = 10_000;

/// How the path begins that the kernel tells of a file in memory.
const IN_MEMORY: &[u8] = b"/memfd:";

/// What a step takes files of the machine for.
#[derive(Default)]
pub(super) struct MachineFiles(Mutex<HashMap<Inode, Meaning>>);

impl MachineFiles {
    /// Returns what a file is taken for, if the step has changed that. The number of one that is gone may be that of another
    /// type of file by now.
    pub(super) fn meaning(&self, inode: Inode, file_type: FileType) -> Option<Meaning> {
        let meaning = self.lock().get(&inode).copied();
        meaning.filter(|meaning| FileType::from_raw_mode(meaning.mode) == file_type)
    }

    /// Has a file be taken for something.
    pub(super) fn set(&self, inode: Inode, meaning: Meaning) -> Result<(), Errno> {
        let mut files = self.lock();
        if files.len() >= MAX_FILES && !files.contains_key(&inode) {
            return Err(Errno::NOSPC);
        }
        files.insert(inode, meaning);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Inode, Meaning>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call<'_> {
    /// Returns whether a file is the machine's: not in the step's tree, and no file in memory, pipe or socket.
    pub(super) fn is_machines(&self, file: &OwnedFd) -> Result<bool, Errno> {
        let Some(view) = &self.place.view else {
            return Ok(false);
        };
        let path = self.place.path(file.as_fd())?;
        let path = path.to_bytes();
        Ok(path.starts_with(b"/") && !path.starts_with(IN_MEMORY) && view.in_tree(path).is_none())
    }

    /// Fails if a step may not change what a handle stands for, or what is in it.
    pub(super) fn may_change(&self, file: &OwnedFd) -> Result<(), Errno> {
        if self.place.view.is_none() {
            return Ok(());
        }
        let path = self.place.path(file.as_fd())?;
        if shown::is_read_only(path.to_bytes()) {
            return Err(Errno::ROFS);
        }
        if shown::is_no_device(path.to_bytes()) {
            return Err(Errno::PERM);
        }
        Ok(())
    }

    /// Fails if a file is the machine's, which takes no extended attributes of a step.
    pub(super) fn may_have_attributes(&self, file: &OwnedFd) -> Result<(), Errno> {
        self.may_change(file)?;
        if self.is_machines(file)? {
            return Err(Errno::OPNOTSUPP);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_is_taken_for_is_not_taken_over_by_another_type_of_file() {
        let files = MachineFiles::default();
        let mode = libc::S_IFCHR | 0o600;
        let meaning = Meaning {
            uid: 5,
            gid: 6,
            mode,
            rdev: Some(259),
        };
        files.set((1, 2), meaning).unwrap();
        assert_eq!(files.meaning((1, 2), FileType::CharacterDevice), Some(meaning));
        assert_eq!(files.meaning((1, 2), FileType::Fifo), None);
        assert_eq!(files.meaning((1, 3), FileType::CharacterDevice), None);
    }

    #[test]
    fn no_step_fills_the_memory_with_files() {
        let files = MachineFiles::default();
        let meaning = Meaning {
            uid: 5,
            gid: 6,
            mode: libc::S_IFREG,
            rdev: None,
        };
        for number in 0..MAX_FILES as u64 {
            files.set((1, number), meaning).unwrap();
        }
        assert_eq!(files.set((2, 0), meaning), Err(Errno::NOSPC));
        files.set((1, 0), meaning).unwrap();
    }
}
