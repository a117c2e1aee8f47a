//! The names of images in the store: which reference stands for which manifest or index.
//!
//! `docker.io/library/debian:12` is the file `docker.io/library/debian/:12`. No part of a repository's name
//! contains a colon, so a tag never collides with a repository below. The file is a note (`note`) of a descriptor.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use registry::oci::{Descriptor, Reference};

use super::{Scratch, StateDirError, note};

/// The tags of a state directory.
#[derive(Clone, Debug)]
pub struct Tags {
    dir: PathBuf,
}

impl Tags {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Returns what a reference stands for; a damaged entry counts as none.
    pub fn get(&self, reference: &Reference) -> Result<Option<Descriptor>, StateDirError> {
        let path = self.path(reference)?;
        note::find(&path).map_err(StateDirError::io("read", path))
    }

    /// Makes a reference stand for an image, in one step.
    pub fn set(&self, reference: &Reference, image: &Descriptor, scratch: &Scratch) -> Result<(), StateDirError> {
        let path = self.path(reference)?;
        note::write(&path, scratch.path(), image).map_err(StateDirError::io("write", &path))
    }

    /// Removes a reference and tells whether it was there.
    pub fn remove(&self, reference: &Reference) -> Result<bool, StateDirError> {
        let path = self.path(reference)?;
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(StateDirError::io("remove", path)(error)),
        }
        // Empty directories go too; the first that is not empty ends it.
        let above = path.ancestors().skip(1).take_while(|dir| *dir != self.dir);
        let _rest_is_in_use = above.map(fs::remove_dir).find(Result::is_err);
        Ok(true)
    }

    /// Returns all tags, sorted, with what they stand for.
    pub fn list(&self) -> Result<Vec<(Reference, Descriptor)>, StateDirError> {
        let mut found = Vec::new();
        for path in self.files()? {
            if let Some(reference) = self.reference(&path)
                && let Some(image) = self.get(&reference)?
            {
                found.push((reference, image));
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(found)
    }

    /// Returns the files of all tags.
    pub fn files(&self) -> Result<Vec<PathBuf>, StateDirError> {
        let mut files = Vec::new();
        let mut directories = vec![self.dir.clone()];
        while let Some(dir) = directories.pop() {
            let entries = match fs::read_dir(&dir) {
                // Removed with its last tag meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries.map_err(StateDirError::io("list", &dir))?,
            };
            for entry in entries {
                let entry = entry.map_err(StateDirError::io("list", &dir))?;
                match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    true => directories.push(entry.path()),
                    false => files.push(entry.path()),
                }
            }
        }
        Ok(files)
    }

    /// Returns where a reference is kept.
    fn path(&self, reference: &Reference) -> Result<PathBuf, StateDirError> {
        let tag = reference
            .tag()
            .ok_or_else(|| StateDirError::NoTag(Box::new(reference.clone())))?;
        let repository = self.dir.join(reference.registry()).join(reference.repository());
        Ok(repository.join(format!(":{tag}")))
    }

    /// Returns the reference that a file stands for, `None` for a stranger's file.
    fn reference(&self, path: &Path) -> Option<Reference> {
        let name = path.strip_prefix(&self.dir).ok()?.to_str()?;
        let (repository, tag) = name.rsplit_once("/:")?;
        format!("{repository}:{tag}").parse().ok()
    }
}
