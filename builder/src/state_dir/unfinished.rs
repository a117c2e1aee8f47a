//! Files that are being written, in a directory of the process's own: nobody sees them until they are renamed to where they
//! belong.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use tempfile::TempPath;

/// Makes an empty file in `scratch` that its owner may read, under a name that begins with `prefix`; it goes with its path.
///
/// # Errors
/// If it cannot be made. The error has its number, as have those of the file apart from its path: what `tempfile` adds its
/// paths to does not tell any more that descriptors ran out.
pub fn create(scratch: &Path, prefix: &str) -> io::Result<(File, TempPath)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o400);
    let made = tempfile::Builder::new()
        .prefix(prefix)
        .make_in(scratch, |path| options.open(path))?;
    Ok(made.into_parts())
}

/// How often a directory is made anew that somebody removes.
const ATTEMPTS: usize = 100;

/// Renames a finished file to where it belongs. A directory that is missing is made.
///
/// # Errors
/// If it cannot be renamed, also because what it was written in is gone.
pub fn put(mut file: TempPath, path: &Path) -> io::Result<()> {
    for _ in 0..ATTEMPTS {
        file = match file.persist(path) {
            // The first in this directory, or a collection has emptied and removed it: which it may again at any moment.
            Err(error) if error.error.kind() == io::ErrorKind::NotFound => error.path,
            put => return put.map_err(|error| error.error),
        };
        match path.parent().map_or(Ok(()), fs::create_dir_all) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {}
            made => made?,
        }
    }
    file.persist(path).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn what_kept_a_file_from_being_made_is_told_by_its_number() {
        let directory = tempfile::tempdir().unwrap();
        let error = create(&directory.path().join("gone"), "note-").unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::NOENT));
    }

    #[test]
    fn a_file_is_put_into_a_directory_that_is_removed_whenever_it_is_empty() {
        let directory = tempfile::tempdir().unwrap();
        let (scratch, place) = (directory.path().join("scratch"), directory.path().join("place"));
        fs::create_dir(&scratch).unwrap();
        std::thread::scope(|scope| {
            let putting = scope.spawn(|| {
                for _ in 0..1000 {
                    let (_, file) = create(&scratch, "note-").unwrap();
                    put(file, &place.join("note")).unwrap();
                    fs::remove_file(place.join("note")).unwrap();
                }
            });
            while !putting.is_finished() {
                let _in_use = fs::remove_dir(&place);
                std::thread::sleep(std::time::Duration::from_micros(10));
            }
        });
    }

    #[test]
    fn what_cannot_be_put_where_it_belongs_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let scratch = directory.path().join("scratch");
        fs::create_dir(&scratch).unwrap();
        let (_, file) = create(&scratch, "note-").unwrap();
        fs::remove_dir_all(&scratch).unwrap();
        let error = put(file, &directory.path().join("directory/note")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
