//! Files that are not in place yet, under names by which the next writer knows those that a dead one has left.
//!
//! Such a file lies beside its place, under a name made of that place's, and is locked for as long as its writer lives. Who
//! comes to the same place and finds the name taken tries the lock: if it is free, the file is nobody's and is removed; else
//! its writer lives, and the next number is taken. Where nothing can be locked every writer counts as living.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use registry::oci::Digest;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use tempfile::NamedTempFile;

/// What all names begin with.
const PREFIX: &str = ".croze-";
/// Writers of one place at the same time, and leavings of dead ones that cannot be removed.
const MOST: usize = 1000;

/// Makes an empty file beside `path`, to be filled and renamed to it.
///
/// # Errors
/// If none can be made in that directory.
pub fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let directory = directory_of(path);
    let place = Digest::of(path.file_name().unwrap_or_default().as_encoded_bytes()).hex();
    let mut number = 0;
    loop {
        let name = format!("{PREFIX}{}-{number}", &place[..16]);
        let made = tempfile::Builder::new()
            .prefix(&name)
            .rand_bytes(0)
            // Its mode is subject to the umask, as for any other program's output; its errors keep their number.
            .make_in(directory, |path| {
                OpenOptions::new().read(true).write(true).create_new(true).open(path)
            });
        match made {
            Ok(file) if is_ours(file.as_file(), file.path()) => return Ok(file),
            // Somebody came before the lock and took it for a dead one's; what has the name now may be another's.
            Ok(file) => drop(file.keep()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < MOST => {
                if !remove_dead(&directory.join(name)) {
                    number += 1;
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Removes what dead writers have left in a directory, whatever it was to become.
///
/// # Errors
/// If the directory cannot be listed.
pub fn reclaim(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_name) {
            remove_dead(&entry.path());
        }
    }
    Ok(())
}

/// Returns whether a name is one of those that [`beside`] gives: others may be the user's.
fn is_name(name: &str) -> bool {
    let rest = name.strip_prefix(PREFIX);
    let parts = rest.and_then(|rest| rest.split_once('-'));
    parts.is_some_and(|(place, number)| {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        place.len() == 16 && place.bytes().all(is_hex) && number.parse::<usize>().is_ok()
    })
}

/// Returns the directory that a path is in.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Locks a file that was just made; returns whether it is still what its name means.
fn is_ours(file: &File, path: &Path) -> bool {
    let is_locked = flock(file, FlockOperation::NonBlockingLockExclusive) != Err(Errno::WOULDBLOCK);
    is_locked && is_at(file, path)
}

/// Removes a file whose writer is dead; returns whether its name may be free now.
fn remove_dead(path: &Path) -> bool {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(error) => return error == Errno::NOENT,
    };
    let is_dead = file.metadata().is_ok_and(|metadata| metadata.is_file())
        && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
    // Only who holds its lock moves or removes a file: its writer may have put it in its place meanwhile.
    is_dead && (!is_at(&file, path) || fs::remove_file(path).is_ok())
}

fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let (opened, named) = (file.metadata().map(identity), fs::symlink_metadata(path).map(identity));
    matches!((opened, named), (Ok(opened), Ok(named)) if opened == named)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_file_of_a_dead_writer_goes_and_that_of_a_living_one_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.tar");
        let file = beside(&path).unwrap();
        let name = file.path().to_owned();
        // A writer that dies closes its files and removes nothing.
        drop(file.keep().unwrap());
        assert!(name.exists());

        let mut first = beside(&path).unwrap();
        assert_eq!(first.path(), name, "the dead one's name is free");
        first.write_all(b"first").unwrap();
        let mut second = beside(&path).unwrap();
        second.write_all(b"second").unwrap();
        reclaim(directory.path()).unwrap();
        assert_eq!(names(directory.path()).len(), 2, "both live");
        first.persist(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        second.persist(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(names(directory.path()), ["out.tar"]);
    }

    #[test]
    fn what_dead_writers_left_of_other_files_is_reclaimed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            drop(beside(&directory.path().join(name)).unwrap().keep().unwrap());
        }
        let other = directory.path().join("other");
        fs::write(&other, "x").unwrap();
        std::os::unix::fs::symlink(&other, directory.path().join(".croze-link")).unwrap();
        fs::write(directory.path().join(".croze-notes"), "x").unwrap();
        let in_the_way = directory.path().join(format!("{PREFIX}{}-7", "0".repeat(16)));
        fs::create_dir(&in_the_way).unwrap();
        assert_eq!(names(directory.path()).len(), 6);
        reclaim(directory.path()).unwrap();
        let in_the_way = in_the_way.file_name().unwrap().to_str().unwrap();
        assert_eq!(
            names(directory.path()),
            [in_the_way, ".croze-link", ".croze-notes", "other"]
        );
    }

    #[test]
    fn what_a_stranger_put_there_is_neither_followed_nor_in_the_way() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let name = beside(&path).unwrap().path().to_owned();
        let victim = directory.path().join("victim");
        fs::write(&victim, "kept").unwrap();
        std::os::unix::fs::symlink(&victim, &name).unwrap();
        beside(&path).unwrap().persist(&path).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"kept");
        assert!(name.is_symlink());
    }

    #[test]
    fn many_writers_of_one_place_never_share_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        std::thread::scope(|scope| {
            for writer in 0..4_u8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..200 {
                        let mut file = beside(path).unwrap();
                        assert_eq!(file.as_file().metadata().unwrap().len(), 0);
                        file.write_all(&[writer; 100]).unwrap();
                        let written = fs::read(file.path()).unwrap();
                        assert_eq!(written, [writer; 100]);
                        file.persist(path).unwrap();
                    }
                });
            }
        });
        assert_eq!(names(directory.path()), ["out"]);
    }
}
