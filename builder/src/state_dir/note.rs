//! Small files that are written whole and believed only if they are whole: one frame (`frame`) with JSON in it.
//!
//! What is missing or damaged is not known; a damaged file is removed, so that nobody looks at it again.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::frame;

/// What was found where a note should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found<T> {
    /// The note.
    Whole(T),
    /// Something else.
    Damaged,
    /// Nothing.
    Nothing,
}

/// Writes a note in place of what was there, by one rename from `scratch`, a directory of this process's own on the same
/// file system. A directory that is missing is made.
///
/// # Errors
/// If it cannot be written, or is too large.
pub fn write(path: &Path, scratch: &Path, note: &impl Serialize) -> io::Result<()> {
    let payload = serde_json::to_vec(note)?;
    let bytes = frame::encode(&payload).ok_or(io::ErrorKind::FileTooLarge)?;
    let mut file = tempfile::Builder::new()
        .prefix("note-")
        .permissions(Permissions::from_mode(0o400))
        .tempfile_in(scratch)?;
    fault::point("note.write")?;
    file.write_all(&bytes)?;
    fault::point("note.rename")?;
    loop {
        match file.persist(path) {
            Ok(_) => return fault::point("note.renamed"),
            // The directory was empty, and somebody removed it.
            Err(error) if error.error.kind() == io::ErrorKind::NotFound => file = error.file,
            Err(error) => return Err(error.error),
        }
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
    }
}

/// Reads a note, if a whole one is there.
pub fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    match inspect(path) {
        Found::Whole(note) => Some(note),
        Found::Damaged => {
            // Should another process have put a good one here meanwhile, that goes as well.
            let _stays_unknown = fs::remove_file(path);
            None
        }
        Found::Nothing => None,
    }
}

/// Reads a note and changes nothing.
pub fn inspect<T: DeserializeOwned>(path: &Path) -> Found<T> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(frame::FILE_LIMIT as u64 + 1).read_to_end(&mut bytes));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Nothing,
        Err(_) => Found::Damaged,
        Ok(_) => {
            let note = frame::decode(&bytes).and_then(|payload| serde_json::from_slice(payload).ok());
            note.map_or(Found::Damaged, Found::Whole)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_whole_or_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("directory/note");
        assert_eq!(inspect::<u8>(&path), Found::Nothing);
        write(&path, dir.path(), &7).unwrap();
        write(&path, dir.path(), &8).unwrap();
        assert_eq!(read(&path), Some(8));
        let mut bytes = fs::read(&path).unwrap();
        bytes[17] ^= 1;
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        assert_eq!(inspect::<u8>(&path), Found::Damaged);
        assert_eq!(read::<u8>(&path), None);
        assert!(!path.exists());
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing unfinished is left"
        );
    }
}
