//! What kind of file system a directory is on, as far as that matters to a store.

use std::io;
use std::path::Path;

use rustix::fs::statfs;

/// Magic numbers of file systems that several machines may see, from `linux/magic.h`; FUSE may be anything.
const SHARED: [u32; 9] = [
    0x6969,      // NFS
    0x517b,      // SMB
    0xff53_4d42, // CIFS
    0xfe53_4d42, // SMB2
    0x0102_1997, // 9P
    0x00c3_6400, // Ceph
    0x5346_414f, // AFS
    0x0bd0_0bd0, // Lustre
    0x6573_5546, // FUSE
];
/// Those in memory: tmpfs and ramfs.
const IN_MEMORY: [u32; 2] = [0x0102_1994, 0x8584_58f6];
/// The kernel's overlay.
const OVERLAY: u32 = 0x794c_7630;

/// A kind of file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileSystem {
    /// On a disk of this machine.
    Local,
    /// In the memory of this machine.
    Memory,
    /// An overlay, as a container's own files are.
    Overlay,
    /// One that other machines may see too.
    Shared,
}

impl FileSystem {
    /// Finds out what a directory is on.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub fn of(directory: &Path) -> io::Result<Self> {
        // The type of the number differs between machines, its lower 32 bits do not.
        let magic = statfs(directory)?.f_type as u64 & u64::from(u32::MAX);
        Ok(Self::of_magic(u32::try_from(magic).unwrap_or_default()))
    }

    fn of_magic(magic: u32) -> Self {
        match magic {
            magic if SHARED.contains(&magic) => Self::Shared,
            magic if IN_MEMORY.contains(&magic) => Self::Memory,
            OVERLAY => Self::Overlay,
            _ => Self::Local,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_known_by_its_number() {
        for (magic, kind) in [
            (0x6969, FileSystem::Shared),
            (0x6573_5546, FileSystem::Shared),
            (0x0102_1994, FileSystem::Memory),
            (0x794c_7630, FileSystem::Overlay),
            (0xef53, FileSystem::Local),
        ] {
            assert_eq!(FileSystem::of_magic(magic), kind, "{magic:x}");
        }
        assert_eq!(FileSystem::of(Path::new("/dev/shm")).unwrap(), FileSystem::Memory);
    }
}
