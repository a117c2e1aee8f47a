//! What a file loses when it is written to: file capabilities, and the bits that change whom a program runs as if the
//! writer may not set them.
//!
//! The kernel takes them away at the first write. Writes are not stopped here, so it is done when the file is opened for
//! writing, or made shorter or longer by its path. Where that differs: a file that is opened and not written to loses them
//! too, and one that gets them while somebody has it open keeps them. Programs open files for writing that they leave as
//! they are in one case that matters, `touch`, whose flags nobody else has who means to write: it is passed over, or
//! reproducible builds, which set the times of all files, would leave none with capabilities.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use snapshotter::CAPABILITY_XATTR;

use super::call::Call;
use super::credentials::MAX_CAPABILITY;
use super::permission;

/// The flags with which `touch` opens a file whose times it sets.
const TOUCH: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

/// Returns whether somebody who opens a file with these flags is taken to write to it.
pub(super) fn are_to_write(flags: OFlags) -> bool {
    let writes = flags.bits() & OFlags::RWMODE.bits() != 0 || flags.contains(OFlags::TRUNC);
    writes && !flags.contains(OFlags::PATH) && flags.difference(OFlags::CLOEXEC | OFlags::LARGEFILE) != TOUCH
}

impl Call<'_> {
    /// Takes away from an existing file what it loses to the caller, who is about to write to it and may.
    pub(super) fn take_privileges(&self, file: &OwnedFd) -> Result<(), Errno> {
        let old = self.attributes(file)?;
        let (device, _) = old.inode;
        if old.file_type() != FileType::RegularFile || self.place.foreign.are_about_processes(device) {
            return Ok(());
        }
        let mode = permission::written(&self.credentials, &old);
        let mut value = [0; MAX_CAPABILITY];
        let capabilities = self.place.xattr(file.as_fd(), CAPABILITY_XATTR, &mut value);
        let has_capabilities = matches!(capabilities, Ok(Some(_)) | Err(Errno::RANGE));
        // A program that is running, or lies on a read-only mount, cannot be written to.
        if mode == old.mode && !has_capabilities || self.place.open(file, OFlags::WRONLY).is_err() {
            return Ok(());
        }
        if has_capabilities {
            self.place.remove_xattr(file.as_fd(), CAPABILITY_XATTR)?;
        }
        if mode == old.mode {
            return Ok(());
        }
        self.step.inodes.change_mode(self.place, file.as_fd(), &old, mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_opens_a_file_to_write_is_told_from_touch() {
        assert!(are_to_write(OFlags::WRONLY | OFlags::APPEND) && are_to_write(OFlags::RDWR));
        assert!(are_to_write(OFlags::TRUNC) && are_to_write(TOUCH | OFlags::TRUNC));
        assert!(are_to_write(OFlags::WRONLY | OFlags::CREATE));
        assert!(!are_to_write(TOUCH | OFlags::CLOEXEC) && !are_to_write(OFlags::RDONLY));
        assert!(!are_to_write(OFlags::PATH | OFlags::RDWR));
    }
}
