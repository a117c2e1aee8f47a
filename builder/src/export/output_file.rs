//! A file for the user: written beside its place, synced, then renamed into it. Where nothing can be put into a directory, or
//! something is mounted on the file, the file that is there is written to; it has all of the new content in the end, or none.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::ExportError;
use super::beside::{beside, directory_of};

/// A file that is being written; dropped before [`commit`](Self::commit) it leaves what was there, unless that could only be
/// written over: then it is empty.
#[must_use = "the file is in place only after `commit`"]
pub struct OutputFile {
    path: PathBuf,
    target: Target,
}

enum Target {
    /// A file under another name, in the same directory.
    Beside(NamedTempFile),
    /// The file that is there: its directory takes no other, as with `/dev/termination-log` of a pod.
    Itself(InPlace),
    /// Something that is no regular file, such as a FIFO or `/dev/null`: a rename would destroy it.
    Special(File),
}

impl OutputFile {
    /// Begins a file; the directory must exist. A link is followed and stays.
    pub fn create(path: &Path) -> Result<Self, ExportError> {
        let path = place_of(path).map_err(ExportError::io("resolve", path))?;
        let open = || {
            let file = OpenOptions::new().write(true).open(&path);
            file.map_err(ExportError::io("open", &path))
        };
        let target = match fs::metadata(&path) {
            Ok(metadata) if !metadata.is_file() => Target::Special(open()?),
            found => match beside(&path) {
                Err(error) if found.is_ok() && is_refusal(&error) => Target::Itself(InPlace::of(open()?)),
                made => Target::Beside(made.map_err(ExportError::io("create", &path))?),
            },
        };
        Ok(Self { path, target })
    }

    /// Finds out whether a file could be written, and changes nothing.
    ///
    /// # Errors
    /// If it could not.
    pub fn check(path: &Path) -> Result<(), ExportError> {
        match fs::metadata(path) {
            // Whoever reads a FIFO would take its being closed for the end.
            Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => Ok(()),
            _ => Self::create(path).map(drop),
        }
    }

    /// Makes the content durable and visible.
    pub fn commit(self) -> Result<(), ExportError> {
        let Self { path, target } = self;
        let file = match target {
            Target::Beside(file) => file,
            Target::Itself(file) => return file.commit().map_err(ExportError::io("write", &path)),
            Target::Special(_) => return Ok(()),
        };
        let synced = fault::point("output.sync").and_then(|()| file.as_file().sync_all());
        synced.map_err(ExportError::io("sync", &path))?;
        fault::point("output.rename").map_err(ExportError::io("rename a file to", &path))?;
        match file.persist(&path) {
            // It is mounted there.
            Err(refused) if refused.error.kind() == io::ErrorKind::ResourceBusy => {
                return copy_to(&refused.file, &path).map_err(ExportError::io("write", &path));
            }
            renamed => drop(renamed.map_err(|error| ExportError::io("rename a file to", &path)(error.error))?),
        }
        fault::point("output.renamed").map_err(ExportError::io("sync", &path))?;
        let dir = directory_of(&path);
        File::open(dir)
            .and_then(|dir| dir.sync_all())
            .map_err(ExportError::io("sync", dir))
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.target {
            Target::Beside(file) => file.write(bytes),
            Target::Itself(file) => file.write(bytes),
            Target::Special(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A regular file that is written over where it is. A part of the new content is never left in it.
struct InPlace {
    file: File,
    state: State,
}

/// What is in a file that is written over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Old,
    Part,
    Whole,
}

impl InPlace {
    fn of(file: File) -> Self {
        let state = State::Old;
        Self { file, state }
    }

    fn commit(mut self) -> io::Result<()> {
        self.begin()?;
        self.file.sync_all()?;
        self.state = State::Whole;
        Ok(())
    }

    /// Takes away what is there, once.
    fn begin(&mut self) -> io::Result<()> {
        if self.state == State::Old {
            self.file.set_len(0)?;
            self.state = State::Part;
        }
        Ok(())
    }
}

impl Write for InPlace {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begin()?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for InPlace {
    fn drop(&mut self) {
        if self.state == State::Part {
            let _stays_in_part = self.file.set_len(0);
        }
    }
}

/// Follows links, also to where nothing is yet.
fn place_of(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    // No circle comes to its end here: the kernel follows a number of links only.
    loop {
        match (fs::canonicalize(&path), fs::read_link(&path)) {
            (Err(error), Ok(target)) if error.kind() == io::ErrorKind::NotFound => {
                path = directory_of(&path).join(target)
            }
            (Err(error), Err(_)) if error.kind() == io::ErrorKind::NotFound => return Ok(path),
            (resolved, _) => return resolved,
        }
    }
}

/// Returns whether nothing can be put into a directory, whatever its files allow.
fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// Puts the content of a file into another, in place of what it has.
fn copy_to(file: &NamedTempFile, path: &Path) -> io::Result<()> {
    let mut to = InPlace::of(OpenOptions::new().write(true).open(path)?);
    io::copy(&mut file.reopen()?, &mut to)?;
    to.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_over_is_whole_or_empty_or_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        for (written, is_committed, left) in [
            (&b""[..], false, &b"what was there"[..]),
            (b"new", false, b""),
            (b"new", true, b"new"),
            (b"", true, b""),
        ] {
            fs::write(&path, "what was there").unwrap();
            let mut file = InPlace::of(OpenOptions::new().write(true).open(&path).unwrap());
            file.write_all(written).unwrap();
            match is_committed {
                true => file.commit().unwrap(),
                false => drop(file),
            }
            assert_eq!(fs::read(&path).unwrap(), left);
        }
    }
}
