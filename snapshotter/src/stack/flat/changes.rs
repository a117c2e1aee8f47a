//! What was done to a tree between two scans of it.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, unlinkat};

use super::Evidence;
use super::index::{Index, Observer, Stamp};
use crate::error::{FsError, OnPath as _};
use crate::root::Root;
use crate::walk::{self, Next, Place, Visitor};

/// What became of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It is no more.
    Gone,
    /// It is a directory that was made, changed, or has something changed below it.
    Directory {
        /// Whether something else had the name, so that nothing of what was there is left.
        replaces: bool,
    },
    /// It is something else, new or changed.
    File,
}

/// Every name of which something changed, with the directories on the way to it, each before what is in it.
#[derive(Debug, Default)]
pub(super) struct Changes(BTreeMap<PathBuf, Change>);

impl Changes {
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&Path, Change)> {
        self.0.iter().map(|(path, change)| (path.as_path(), *change))
    }

    /// Returns what is there and no directory.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.iter()
            .filter(|(_, change)| *change == Change::File)
            .map(|(path, _)| path)
    }

    fn insert(&mut self, path: &Path, change: Change) {
        self.0.insert(path.to_owned(), change);
        for directory in path.ancestors().skip(1) {
            if directory.as_os_str().is_empty() || self.0.contains_key(directory) {
                break;
            }
            self.0
                .insert(directory.to_owned(), Change::Directory { replaces: false });
        }
    }
}

/// Scans a tree and tells what is different from an earlier scan; returns the new scan as well. To the inodes that are
/// `moved`, nothing else was done. `is_kept` is asked whether a file is still what the snapshots have under its path,
/// where the scans cannot tell.
pub(super) fn compare(
    tree: &Root,
    before: Index,
    moved: &HashSet<PathBuf>,
    evidence: Evidence,
    is_kept: impl Fn(&Path) -> Result<bool, FsError>,
) -> Result<(Index, Changes), FsError> {
    let shared = before.stamps.values().filter(|stamp| stamp.is_shared);
    let shared = shared.map(|stamp| stamp.inode).collect();
    let mut comparison = Comparison {
        observer: Observer::new(evidence, before.hashing.clone()),
        after: Index::like(&before),
        before,
        changes: Changes::default(),
        moved,
        path_is_new: Vec::new(),
        new_directories: HashSet::new(),
        shared,
        joined: HashSet::new(),
        doubtful: Vec::new(),
    };
    walk::walk(tree.open_dir(Path::new(""))?, &mut comparison)?;
    comparison.resolve_doubts(is_kept)?;
    comparison.note_gone();
    comparison.note_joined();
    Ok((comparison.after, comparison.changes))
}

struct Comparison<'a> {
    observer: Observer,
    /// What was not met again so far.
    before: Index,
    after: Index,
    changes: Changes,
    moved: &'a HashSet<PathBuf>,
    /// Of each directory from the top to here, whether it is in `new_directories`.
    path_is_new: Vec<bool>,
    /// Inodes that are a snapshot's as well.
    shared: HashSet<u64>,
    /// Those of them that were given further names.
    joined: HashSet<u64>,
    /// Files of which another name was removed, and perhaps nothing else was done to them.
    doubtful: Vec<PathBuf>,
    /// Directories that are not those that had their names before: nothing in them was there.
    new_directories: HashSet<Box<[u8]>>,
}

impl Visitor for Comparison<'_> {
    type Error = FsError;

    fn visit(&mut self, place: &Place<'_>) -> Result<Next, FsError> {
        let (mut stamp, stat) = self.observer.look(place.dir, place.name).on("stat", place.path)?;
        if stat.is_overlay_whiteout() {
            // Overlay lets no program make such a device. A layer would take it for a deletion, so that is what it is.
            unlinkat(place.dir, place.name, AtFlags::empty()).on("remove", place.path)?;
            return Ok(Next::Pass);
        }
        let path = place.path.as_os_str().as_bytes();
        let was = self.before.stamps.remove(path);
        let is_in_new = self.path_is_new.last().is_some_and(|is_new| *is_new);
        let is_same = was.is_some_and(|was| stamp.is_same_inode(&was));
        let is_moved = is_same && self.moved.contains(place.path);
        let is_untouched = !is_in_new && (is_moved || was.is_some_and(|was| stamp.is_untouched(&was)));
        stamp.is_shared = self.shared.contains(&stamp.inode) && (!is_same || was.is_some_and(|was| was.is_shared));
        if stamp.is_shared && !is_same {
            self.joined.insert(stamp.inode);
        }
        self.after.insert(path, stamp);
        if !stamp.is_dir() {
            if !is_in_new && !is_moved && was.is_some_and(|was| stamp.may_have_lost_a_name_only(&was)) {
                self.doubtful.push(place.path.to_owned());
            } else if !is_untouched {
                self.changes.insert(place.path, Change::File);
            }
            return Ok(Next::Pass);
        }
        let is_new = is_in_new || !is_same;
        if is_new {
            self.new_directories.insert(path.into());
        }
        if !is_untouched {
            let replaces = is_new && !is_in_new && was.is_some();
            self.changes.insert(place.path, Change::Directory { replaces });
        }
        self.path_is_new.push(is_new);
        Ok(Next::Enter(walk::open_dir(place)?))
    }

    fn leave(&mut self, _place: &Place<'_>) -> Result<(), FsError> {
        self.path_is_new.pop();
        Ok(())
    }
}

impl Comparison<'_> {
    /// Looks into the files that times say nothing certain of.
    fn resolve_doubts(&mut self, is_kept: impl Fn(&Path) -> Result<bool, FsError>) -> Result<(), FsError> {
        for path in std::mem::take(&mut self.doubtful) {
            if !is_kept(&path)? {
                self.changes.insert(&path, Change::File);
            }
        }
        Ok(())
    }

    /// Takes the other names of an inode for changed that was given a new one: they are to be names of one file again.
    fn note_joined(&mut self) {
        for (path, stamp) in &self.after.stamps {
            if self.joined.contains(&stamp.inode) {
                self.changes.insert(Path::new(OsStr::from_bytes(path)), Change::File);
            }
        }
    }

    /// Notes what was not met again, unless its directory is gone or another one: that says it already.
    fn note_gone(&mut self) {
        for path in std::mem::take(&mut self.before.stamps).into_keys() {
            let path = Path::new(OsStr::from_bytes(&path));
            let directory = path.parent().unwrap_or(Path::new("")).as_os_str().as_bytes();
            let is_there = directory.is_empty() || self.after.stamps.get(directory).is_some_and(Stamp::is_dir);
            if is_there && !self.new_directories.contains(directory) {
                self.changes.insert(path, Change::Gone);
            }
        }
    }
}
