//! The content digest of a selection: what enters the content key of whoever reads it.
//!
//! Equal digests mean equal results, whatever machine, clock and umask the files were made under. What enters is
//! decided here and nowhere else:
//!
//! | of | enters | does not enter, because |
//! |---|---|---|
//! | a match | its name, if it is a file: it may become the name of the copy | name of a directory: only what is in it is copied; where in the tree it is |
//! | an entry | path from the match, type, whether it is there for its own sake | – |
//! | mode | as it will be written: `--chmod` applied | the mode under an octal `--chmod`, so that a checkout under another umask is the same; links have none |
//! | owner | of a stage or an image, unless `--chown` says otherwise | of a context: its files become root's |
//! | link | target | what it leads to |
//! | file | bytes; which entries of the match are one inode | size: the bytes have it |
//! | extended attributes | `user.*` and `security.capability`, in the form that layers hold | all others: they are not copied |
//! | device | major and minor number | – |
//! | top directory of a copy | that it is a directory | mode, owner, attributes: it is the destination's |
//! | times, inode numbers, block counts | never | a clone has new ones |
//!
//! Every value has its length in front, so that no two selections are written alike.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use registry::oci::{Digest, Hasher};
use snapshotter::FileType;

use super::file_digest::frame_xattrs;
use super::selection::{Content, Entry, Match, Selection, Standing, below};
use crate::op::Chmod;

/// What files are selected for, which decides what of them matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use<'a> {
    /// To be copied.
    Copy {
        /// `--chmod`.
        chmod: Option<&'a Chmod>,
        /// Whether owners arrive as they are.
        keep_owner: bool,
    },
    /// To be mounted: the top directory is seen with all that it has.
    Mount {
        /// Whether owners are seen as they are.
        keep_owner: bool,
    },
}

/// The version of the table above, as the first thing that is hashed.
const VERSION: &[u8] = b"croze selection 1";

impl Selection {
    /// Returns the digest of all that matters for a use.
    pub fn digest(&self, used: Use<'_>) -> Digest {
        let mut framed = Framed(Hasher::new());
        framed.bytes(VERSION);
        framed.number(self.matches.len() as u64);
        for matched in &self.matches {
            matched.feed(used, &mut framed);
        }
        framed.0.finish()
    }
}

impl Selection {
    /// Returns every selected file with the digest of what its user sees of it, for people to compare.
    pub fn listing<'a>(&'a self, used: Use<'a>) -> impl Iterator<Item = (PathBuf, Digest)> + 'a {
        self.matches.iter().flat_map(move |matched| {
            matched.entries.iter().map(move |entry| {
                let mut framed = Framed(Hasher::new());
                entry.feed(used, &mut framed);
                (below(&matched.origin, &entry.path), framed.0.finish())
            })
        })
    }
}

impl Match {
    fn feed(&self, used: Use<'_>, framed: &mut Framed) {
        let is_directory = self.entries.first().is_some_and(|top| top.stat.is_dir());
        framed.bytes(if is_directory { OsStr::new("") } else { &self.name }.as_bytes());
        framed.number(self.entries.len() as u64);
        let mut inodes = HashMap::new();
        for (index, entry) in self.entries.iter().enumerate() {
            if is_directory && index == 0 && matches!(used, Use::Copy { .. }) {
                framed.bytes(b"top");
                continue;
            }
            entry.feed(used, framed);
            let shares_inode = entry.stat.nlink > 1 && !entry.stat.is_dir();
            let first = if shares_inode {
                *inodes.entry(entry.stat.inode()).or_insert(index)
            } else {
                index
            };
            framed.number((index - first) as u64);
        }
    }
}

impl Entry {
    fn feed(&self, used: Use<'_>, framed: &mut Framed) {
        framed.bytes(self.path.as_os_str().as_bytes());
        framed.number(match self.standing {
            Standing::Selected => 0,
            Standing::Implied => 1,
        });
        let (chmod, keep_owner) = match used {
            Use::Copy { chmod, keep_owner } => (chmod, keep_owner),
            Use::Mount { keep_owner } => (None, keep_owner),
        };
        if keep_owner {
            framed.number(self.stat.uid.into());
            framed.number(self.stat.gid.into());
        }
        let is_link = matches!(self.content, Content::Link(_));
        if !is_link {
            let mode = self.stat.mode;
            framed.number(chmod.map_or(mode, |chmod| chmod.apply(mode, self.stat.is_dir())).into());
        }
        match &self.content {
            Content::Directory(xattrs) => {
                framed.bytes(b"directory");
                frame_xattrs(&mut framed.0, xattrs);
            }
            Content::File(content) => {
                framed.bytes(b"file");
                framed.bytes(content.digest.as_bytes());
            }
            Content::Link(target) => {
                framed.bytes(b"link");
                framed.bytes(target.as_os_str().as_bytes());
            }
            Content::Nothing => self.feed_device(framed),
        }
    }

    fn feed_device(&self, framed: &mut Framed) {
        let kind: &[u8] = match self.stat.file_type {
            FileType::CharacterDevice => b"character device",
            FileType::BlockDevice => b"block device",
            FileType::Fifo => b"fifo",
            _ => b"socket",
        };
        framed.bytes(kind);
        let (major, minor) = match self.stat.file_type {
            FileType::CharacterDevice | FileType::BlockDevice => self.stat.rdev,
            _ => (0, 0),
        };
        framed.number(major.into());
        framed.number(minor.into());
    }
}

/// A hasher of values that have their length in front.
struct Framed(Hasher);

impl Framed {
    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }
}
