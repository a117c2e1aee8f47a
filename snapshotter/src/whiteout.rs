//! The mark of a deleted name in a snapshot.
//!
//! It is overlay's own, the device 0:0, which every user may make, but on an overlay, where nobody may. There a socket
//! stands for it, without any permission and of a time that no program gives to its sockets. No layer can hold a socket,
//! and the kernel never has to understand this one: it stacks nothing writable on an overlay.

use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, FileType, Mode, mknodat, unlinkat, utimensat};
use rustix::io::Errno;
use rustix::path::Arg;

use crate::attributes::{Stat, Timestamp};

/// When the sockets were modified that stand for deleted names.
const TIME: Timestamp = Timestamp { seconds: 0, nanos: 1 };

/// Marks a name in a directory of a snapshot as deleted. A name that is taken is `EEXIST`.
pub(crate) fn make(dir: BorrowedFd<'_>, name: impl Arg + Copy) -> Result<(), Errno> {
    match mknodat(dir, name, FileType::CharacterDevice, Mode::empty(), 0) {
        Err(Errno::PERM) => make_socket(dir, name),
        made => made,
    }
}

fn make_socket(dir: BorrowedFd<'_>, name: impl Arg + Copy) -> Result<(), Errno> {
    mknodat(dir, name, FileType::Socket, Mode::empty(), 0)?;
    let marked = utimensat(dir, name, &TIME.as_mtime(), AtFlags::SYMLINK_NOFOLLOW);
    if marked.is_err() {
        // Without the time it would be an ordinary socket.
        unlinkat(dir, name, AtFlags::empty())?;
    }
    marked
}

/// Returns whether a file of a snapshot says that a name was deleted.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    stat.is_overlay_whiteout() || stat.file_type == FileType::Socket && stat.mode == 0 && stat.mtime == TIME
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::inodes::stat_at;

    #[test]
    fn both_forms_are_told_from_what_a_program_makes() {
        let dir = tempfile::tempdir().unwrap();
        let top = File::open(dir.path()).unwrap();
        make(top.as_fd(), c"device").unwrap();
        make_socket(top.as_fd(), c"socket").unwrap();
        assert_eq!(make(top.as_fd(), c"socket"), Err(Errno::EXIST));
        let _listener = UnixListener::bind(dir.path().join("program")).unwrap();
        let is = |name| is_whiteout(&stat_at(top.as_fd(), name).unwrap());
        assert!(is(c"device") && is(c"socket"));
        assert!(!is(c"program"));
    }
}
