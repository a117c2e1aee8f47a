//! What was selected of a tree: names, attributes and content digests, frozen when they were read.
//!
//! A copy gives files the attributes that stand here, not those that they have by then, so that what arrives is
//! what was digested.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use registry::oci::Digest;
use snapshotter::Stat;
use snapshotter::xattr::Xattr;

/// All that one source of a `COPY` names.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// One for a path; any number, in order of names, for a wildcard.
    pub matches: Vec<Match>,
}

impl Selection {
    /// Returns whether the tree had just this ever since `before`, as far as the kernel tells: no file is another, and none
    /// was changed and changed back.
    pub fn is_untouched_since(&self, before: &Self) -> bool {
        are_pairs(&self.matches, &before.matches, |now, before| {
            now.origin == before.origin && are_pairs(&now.entries, &before.entries, Entry::is_untouched_since)
        })
    }
}

impl Selection {
    /// Returns the same as the content of the top of the tree: copied as a whole, each file comes to where it is there.
    #[must_use]
    pub fn seen_from_top(self) -> Self {
        let matches = self.matches.into_iter().map(Match::seen_from_top);
        Self {
            matches: matches.collect(),
        }
    }
}

impl Match {
    fn seen_from_top(self) -> Self {
        let Some(first) = self.entries.first().filter(|_| !self.origin.as_os_str().is_empty()) else {
            return self;
        };
        let top = Entry {
            path: PathBuf::new(),
            content: Content::Directory(Vec::new()),
            standing: Standing::Implied,
            ..first.clone()
        };
        let entries = self.entries.into_iter().map(|entry| Entry {
            path: below(&self.origin, &entry.path),
            ..entry
        });
        Self {
            name: OsString::new(),
            entries: std::iter::once(top).chain(entries).collect(),
            origin: PathBuf::new(),
        }
    }
}

/// Joins without a trailing slash when there is nothing to add.
pub(super) fn below(origin: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() {
        origin.to_owned()
    } else {
        origin.join(path)
    }
}

impl Entry {
    fn is_untouched_since(&self, before: &Self) -> bool {
        // Blocks are allotted some time after a write, and some file systems number their inodes anew each time.
        let lasting = |stat: &Stat| Stat {
            blocks: 0,
            dev: (0, 0),
            ino: 0,
            ..*stat
        };
        let has_same_bytes = match (&self.content, &before.content) {
            (Content::File(now), Content::File(before)) => now == before,
            // The rest is told by the times of the inode.
            _ => true,
        };
        self.path == before.path && lasting(&self.stat) == lasting(&before.stat) && has_same_bytes
    }
}

fn are_pairs<T>(now: &[T], before: &[T], are_pair: impl Fn(&T, &T) -> bool) -> bool {
    now.len() == before.len() && now.iter().zip(before).all(|(now, before)| are_pair(now, before))
}

/// One file or directory that a source names.
#[derive(Clone, Debug)]
pub struct Match {
    /// The last name of the source as written, before links were followed: what a file is called in the directory
    /// that it is copied to. Empty for the top of the tree.
    pub name: OsString,
    /// Where it is in the tree, without links.
    pub origin: PathBuf,
    /// Itself, then everything selected below it: a directory before what is in it, names of one directory in the
    /// order of their bytes.
    pub entries: Vec<Entry>,
}

/// One file of a match.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Path from the match; empty for the match itself.
    pub path: PathBuf,
    /// What the kernel said of it.
    pub stat: Stat,
    /// What is in it.
    pub content: Content,
    /// Why it is here.
    pub standing: Standing,
}

/// What is in a file.
#[derive(Clone, Debug)]
pub enum Content {
    /// Entries of their own, and these extended attributes.
    Directory(Vec<Xattr>),
    /// Bytes.
    File(FileContent),
    /// A target.
    Link(PathBuf),
    /// Nothing: a device, a FIFO, a socket.
    Nothing,
}

/// The content of a regular file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileContent {
    /// Digest of the extended attributes and the bytes; see `file_digest`.
    pub digest: Digest,
    /// Whether there are extended attributes that a copy takes along.
    pub has_xattrs: bool,
}

/// Why an entry is part of a selection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Standing {
    /// It was asked for.
    Selected,
    /// It is a directory that something selected lies in. Where there is one already, it keeps its owner and time.
    Implied,
}
