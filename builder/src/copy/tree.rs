//! Merging the content of a directory into another.
//!
//! Directories are dressed after everything in them is there, on the way back up.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, mkdirat};
use rustix::io::Errno;
use snapshotter::FsError;

use super::CopyError;
use super::attributes::Undressed;
use super::dirs::{Dir, Dirs};
use super::transfer::{Manner, Route, Transfer};
use crate::context::{Content, Entry, Standing};

/// Copies all entries but the first, which is the source directory itself.
pub(super) fn merge(
    transfer: &mut Transfer,
    source: Dirs,
    target: Dirs,
    entries: &[Entry],
    manner: &Manner<'_>,
) -> Result<(), CopyError> {
    let mut merge = Merge {
        transfer,
        source,
        target,
        manner,
        unfinished: Vec::new(),
        first_names: HashMap::new(),
    };
    for entry in entries.iter().skip(1) {
        merge.finish_all_but_above(&entry.path)?;
        merge.entry(entry)?;
    }
    merge.finish_all_but_above(Path::new(""))
}

struct Merge<'a> {
    transfer: &'a mut Transfer,
    source: Dirs,
    target: Dirs,
    manner: &'a Manner<'a>,
    /// The directories around the present entry that are still to be dressed.
    unfinished: Vec<(&'a Entry, Dressing)>,
    /// Where an inode with several names was copied to first.
    first_names: HashMap<((u32, u32), u64), PathBuf>,
}

/// What a directory is given in the end.
#[derive(Clone, Copy)]
enum Dressing {
    All,
    OnlyMode,
}

impl<'a> Merge<'a> {
    fn entry(&mut self, entry: &'a Entry) -> Result<(), CopyError> {
        if let Content::Directory(_) = entry.content {
            return self.directory(entry);
        }
        if entry.stat.nlink > 1 {
            if let Some(first) = self.first_names.get(&entry.stat.inode()) {
                return self.transfer.hard_link(&mut self.target, first, &entry.path);
            }
            self.first_names.insert(entry.stat.inode(), entry.path.clone());
        }
        let path = &entry.path;
        let route = Route {
            source: &mut self.source,
            from: path,
            target: &mut self.target,
            to: path,
        };
        self.transfer.entry(route, entry, self.manner)
    }

    fn directory(&mut self, entry: &'a Entry) -> Result<(), CopyError> {
        let shown = self.target.shown(&entry.path);
        let Dir { fd: dir, inodes, .. } = self.target.open(entry.path.parent().unwrap_or(Path::new("")))?;
        let name = entry.path.file_name().unwrap_or_default();
        let is_new = match mkdirat(dir, name, Mode::RWXU) {
            Ok(()) => true,
            Err(Errno::EXIST) => {
                let there = inodes.stat_at(dir, name.as_bytes());
                if !there.map_err(|errno| FsError::new("stat", &shown, errno))?.is_dir() {
                    return Err(CopyError::DirectoryOverFile { path: shown });
                }
                false
            }
            Err(errno) => return Err(FsError::new("make directory", shown, errno).into()),
        };
        let keeps_owner = self.manner.parents || entry.standing == Standing::Implied;
        let dressing = if is_new || !keeps_owner {
            Dressing::All
        } else {
            Dressing::OnlyMode
        };
        self.unfinished.push((entry, dressing));
        Ok(())
    }

    /// Dresses the directories that are left behind on the way to `path`.
    fn finish_all_but_above(&mut self, path: &Path) -> Result<(), CopyError> {
        while let Some((entry, dressing)) = self.unfinished.pop_if(|(entry, _)| !path.starts_with(&entry.path)) {
            let Content::Directory(xattrs) = &entry.content else {
                continue;
            };
            let shown = self.target.shown(&entry.path);
            let dir = self.target.open(&entry.path)?;
            let attributes = self.manner.attributes(&entry.stat);
            let dressed = match dressing {
                Dressing::All => self.transfer.dresser.directory(dir, &attributes, xattrs),
                Dressing::OnlyMode => dir
                    .inodes
                    .set_directory_mode(dir.fd, attributes.mode)
                    .map_err(Undressed::from),
            };
            dressed.map_err(|undressed| undressed.of(shown))?;
        }
        Ok(())
    }
}
