//! What there is in a state directory, thing by thing.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use snapshotter::{Root, Usage, measure};

use super::sizes::Sizes;
use crate::state_dir::{Class, StateDir, StateDirError, Victim};

/// Something that is removed as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Item {
    /// What kind of thing.
    pub(super) class: Class,
    /// Its path in the layout.
    pub(super) path: PathBuf,
    /// What it takes.
    pub(super) usage: Usage,
    /// When it was last used, as far as can be told.
    pub(super) used: SystemTime,
}

impl Item {
    /// Returns it as something to remove.
    pub(super) fn as_victim(&self) -> Victim {
        Victim {
            path: self.path.clone(),
            used: self.used,
            inodes: self.usage.inodes,
        }
    }
}

/// How deep below its class's directory the things of a class lie; `None` if they are not for a collection.
fn depth(class: Class) -> Option<usize> {
    match class {
        Class::Snapshots
        | Class::Layers
        | Class::Images
        | Class::Contexts
        | Class::Remotes
        | Class::Mounts
        | Class::Logs
        | Class::Epochs => Some(1),
        Class::Records => Some(2),
        Class::Blobs => Some(3),
        // As deep as the names of repositories.
        Class::Tags => Some(usize::MAX),
        Class::Scratch => None,
    }
}

/// Lists everything of some classes but the scratch space of processes. What takes long to measure is remembered in `sizes`;
/// after the time is up, a directory that was never measured counts as nothing.
pub(super) fn scan(
    state: &StateDir,
    classes: impl Iterator<Item = Class>,
    sizes: &mut Sizes,
    until: Option<Instant>,
) -> Result<Vec<Item>, StateDirError> {
    let mut scan = Scan {
        layout: state.layout(),
        sizes,
        until,
        items: Vec::new(),
    };
    for class in classes {
        if let Some(depth) = depth(class) {
            scan.below(class, Path::new(class.directory()), depth)?;
        }
    }
    Ok(scan.items)
}

/// Removes the directories that only sort things by the beginnings of their names, if they are empty.
pub(super) fn remove_empty_directories(state: &StateDir) {
    let below = |dir: PathBuf| {
        fs::read_dir(dir)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
    };
    for dir in [state.path(Class::Records), state.path(Class::Blobs).join("sha256")] {
        for dir in below(dir) {
            // Fails, rightly, if something is in it. Who is about to rename something into it makes it again.
            let _not_empty = fs::remove_dir(dir);
        }
    }
    let mut tags = vec![state.path(Class::Tags)];
    let mut nested = Vec::new();
    while let Some(dir) = tags.pop() {
        let directories: Vec<PathBuf> = below(dir).filter(|path| path.is_dir()).collect();
        nested.extend(directories.iter().cloned());
        tags.extend(directories);
    }
    for dir in nested.iter().rev() {
        let _not_empty = fs::remove_dir(dir);
    }
}

struct Scan<'a> {
    layout: &'a Path,
    sizes: &'a mut Sizes,
    until: Option<Instant>,
    items: Vec<Item>,
}

impl Scan<'_> {
    fn below(&mut self, class: Class, directory: &Path, depth: usize) -> Result<(), StateDirError> {
        let absolute = self.layout.join(directory);
        let entries = match fs::read_dir(&absolute) {
            Ok(entries) => entries,
            // Gone meanwhile, or a stranger's file.
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(());
            }
            Err(source) => {
                return Err(StateDirError::Io {
                    verb: "list",
                    path: absolute,
                    source,
                });
            }
        };
        for entry in entries.flatten() {
            let path = directory.join(entry.file_name());
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            // The snapshot store's own, which it cleans itself.
            if class == Class::Snapshots && entry.file_name().as_encoded_bytes().starts_with(b"_") {
                continue;
            }
            if depth > 1 && is_directory {
                self.below(class, &path, depth - 1)?;
            } else if depth == 1 || class == Class::Tags {
                let item = self.item(class, path)?;
                self.items.extend(item);
            }
        }
        Ok(())
    }

    fn item(&mut self, class: Class, path: PathBuf) -> Result<Option<Item>, StateDirError> {
        let absolute = self.layout.join(&path);
        // Others go on working.
        let Ok(metadata) = fs::symlink_metadata(&absolute) else {
            return Ok(None);
        };
        let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let own = Usage {
            bytes: metadata.blocks() * 512,
            inodes: 1,
        };
        let inside = if metadata.is_dir() {
            self.inside(class, &path, &metadata)?
        } else {
            Usage::default()
        };
        Ok(Some(Item {
            class,
            path,
            usage: Usage {
                bytes: own.bytes + inside.bytes,
                inodes: own.inodes + inside.inodes,
            },
            used,
        }))
    }

    fn inside(&mut self, class: Class, path: &Path, metadata: &fs::Metadata) -> Result<Usage, StateDirError> {
        // A snapshot never changes; what builds change in place bears the time of the last that did.
        let version = match class {
            Class::Snapshots => i128::from(metadata.ino()),
            _ => i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
        };
        if let Some(known) = self.sizes.get(path, version) {
            return Ok(known);
        }
        if self.until.is_some_and(|until| Instant::now() >= until) {
            return Ok(Usage::default());
        }
        let measured = Root::open(&self.layout.join(path)).and_then(|root| measure(root.open_dir(Path::new(""))?));
        match measured {
            Ok(usage) => {
                self.sizes.set(path, version, usage);
                Ok(usage)
            }
            Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => Ok(Usage::default()),
            Err(error) => Err(error.into()),
        }
    }
}
