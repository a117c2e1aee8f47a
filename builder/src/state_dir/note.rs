//! Small files that are written whole and believed only if they are whole: one frame (`frame`) with JSON in it.
//!
//! What is missing or damaged is not known; a damaged file is removed, so that nobody looks at it again. What cannot be
//! read just now, or only another version of croze understands, stays.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::frame::{self, NoFrame};
use super::unfinished;

/// What was found where a note should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found<T> {
    /// The note.
    Whole(T),
    /// Something else.
    Damaged,
    /// A note that only another version of croze understands.
    Foreign,
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
    let (mut file, unfinished) = unfinished::create(scratch, "note-")?;
    fault::point("note.write")?;
    file.write_all(&bytes)?;
    fault::point("note.rename")?;
    unfinished::put(unfinished, path)?;
    fault::point("note.renamed")
}

/// Reads a note, if a whole one is there; one that cannot be read is not known.
pub fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    find(path).ok().flatten()
}

/// Reads a note, if a whole one is there.
///
/// # Errors
/// If it cannot be read: then nobody knows what it says.
pub fn find<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    Ok(match inspect(path)? {
        Found::Whole(note) => Some(note),
        Found::Damaged => {
            // Should another process have put a good one here meanwhile, that goes as well.
            let _stays_unknown = fs::remove_file(path);
            None
        }
        Found::Foreign | Found::Nothing => None,
    })
}

/// Reads a note and changes nothing.
///
/// # Errors
/// If it cannot be read: then nobody knows what it says.
pub fn inspect<T: DeserializeOwned>(path: &Path) -> io::Result<Found<T>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(frame::FILE_LIMIT as u64 + 1).read_to_end(&mut bytes));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        read => read?,
    };
    Ok(match frame::decode(&bytes) {
        // Its checksum is right, so somebody has meant what it says.
        Ok(payload) => serde_json::from_slice(payload).map_or(Found::Foreign, Found::Whole),
        Err(NoFrame::OtherVersion(_)) => Found::Foreign,
        Err(NoFrame::Damaged) => Found::Damaged,
    })
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_note_is_whole_or_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("directory/note");
        assert_eq!(inspect::<u8>(&path).unwrap(), Found::Nothing);
        write(&path, dir.path(), &7).unwrap();
        write(&path, dir.path(), &8).unwrap();
        assert_eq!(read(&path), Some(8));
        let mut bytes = fs::read(&path).unwrap();
        bytes[17] ^= 1;
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        assert_eq!(inspect::<u8>(&path).unwrap(), Found::Damaged);
        assert_eq!(read::<u8>(&path), None);
        assert!(!path.exists());
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing unfinished is left"
        );
    }

    #[test]
    fn a_note_that_cannot_be_read_or_understood_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("note");
        // Opens and does not read, as a bad disk would.
        fs::create_dir(&path).unwrap();
        assert!(find::<u8>(&path).is_err());
        assert_eq!(read::<u8>(&path), None);
        assert!(path.exists());
        fs::remove_dir(&path).unwrap();
        let mut newer = frame::encode(b"7").unwrap();
        newer[8] += 1;
        for bytes in [newer, frame::encode(b"\"of another kind\"").unwrap()] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(find::<u8>(&path).unwrap(), None);
            assert!(path.exists());
        }
    }

    #[test]
    fn a_note_whose_scratch_space_is_gone_is_an_error_with_its_number() {
        let dir = tempfile::tempdir().unwrap();
        let error = write(&dir.path().join("note"), &dir.path().join("gone"), &7_u8).unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::NOENT));
    }
}
