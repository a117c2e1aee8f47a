//! A file for the user: written beside its place, synced, then renamed into it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::ExportError;
use super::beside::{beside, directory_of};

/// A file that is being written; dropped before [`commit`](Self::commit) it leaves what was there.
#[must_use = "the file is in place only after `commit`"]
pub struct OutputFile {
    path: PathBuf,
    target: Target,
}

enum Target {
    /// A file under another name, in the same directory.
    Beside(NamedTempFile),
    /// Something that is no regular file, such as a FIFO or `/dev/null`: a rename would destroy it.
    Itself(File),
}

impl OutputFile {
    /// Begins a file; the directory must exist. A link is followed and stays.
    pub fn create(path: &Path) -> Result<Self, ExportError> {
        let path = match fs::canonicalize(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            resolved => resolved.map_err(ExportError::io("resolve", path))?,
        };
        let in_place = fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file());
        let target = if in_place {
            let file = OpenOptions::new().write(true).open(&path);
            Target::Itself(file.map_err(ExportError::io("open", &path))?)
        } else {
            Target::Beside(beside(&path).map_err(ExportError::io("create", &path))?)
        };
        Ok(Self { path, target })
    }

    /// Makes the content durable and visible.
    pub fn commit(self) -> Result<(), ExportError> {
        let Self { path, target } = self;
        let Target::Beside(file) = target else {
            return Ok(());
        };
        let synced = fault::point("output.sync").and_then(|()| file.as_file().sync_all());
        synced.map_err(ExportError::io("sync", &path))?;
        fault::point("output.rename").map_err(ExportError::io("rename a file to", &path))?;
        file.persist(&path)
            .map_err(|error| ExportError::io("rename a file to", &path)(error.error))?;
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
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
