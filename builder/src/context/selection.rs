//! What was selected of a tree: names, attributes and content digests, frozen when they were read.
//!
//! A copy gives files the attributes that stand here, not those that they have by then, so that what arrives is
//! what was digested.

use std::ffi::OsString;
use std::path::PathBuf;

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
