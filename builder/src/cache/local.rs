//! Records on disk, one small file per key, shared by any number of processes without a lock.
//!
//! ```text
//! index/
//!   3f/                          first two hex digits of the key
//!     3f09…c2                    one frame (`state_dir/frame.rs`): a record, or a link to one
//! ```
//!
//! A file is written under the process's own scratch directory and renamed into place, so a reader sees a
//! whole file or none; one that is damaged all the same, or that is not ours, is deleted and counts as a miss. Whether
//! the content that a record names is whole is for who loads it: blobs prove themselves by their digests, snapshots by
//! their stamps.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};
use serde::{Deserialize, Serialize};

use super::{CacheError, CacheStore, Record};
use crate::op::key::CacheKey;
use crate::state_dir::frame::{self, NoFrame};
use crate::state_dir::{paths, unfinished};

/// How many links may lie between a key and its record; more is a loop made by two processes at once.
const MOST_LINKS: usize = 8;

/// The records of this machine, in the `index` directory of the state directory.
#[derive(Debug)]
pub struct LocalCache {
    index: PathBuf,
    /// The same, open: most look-ups find nothing, and then the way there is what they cost.
    directory: OwnedFd,
    scratch: PathBuf,
}

/// What a file says.
#[derive(Serialize, Deserialize)]
struct Stored {
    /// The key that the file is named by: a file under another name is not believed.
    key: CacheKey,
    /// What it holds.
    entry: Entry,
}

/// A record or the way to one.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Entry {
    /// Under its canonical key.
    Record(Box<Record>),
    /// Under another: it came from elsewhere.
    Adopted(Box<Record>),
    Link(CacheKey),
}

impl LocalCache {
    /// Uses `index` for the records and `scratch`, which must be on the same file system and this process's
    /// own, for files that are not complete. Both must exist.
    ///
    /// # Errors
    /// If `index` cannot be opened.
    pub fn open(index: PathBuf, scratch: PathBuf) -> Result<Self, CacheError> {
        let directory = File::open(&index).map_err(failed("open", &index))?.into();
        Ok(Self {
            index,
            directory,
            scratch,
        })
    }

    fn path(&self, key: CacheKey) -> PathBuf {
        self.index.join(paths::sorted(&key.hex()))
    }

    fn read(&self, key: CacheKey) -> Option<Entry> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = openat(&self.directory, paths::sorted(&key.hex()), flags, Mode::empty()).ok()?;
        match decode(&read_small(file.into()).ok()?, key) {
            Ok(entry) => Some(entry),
            Err(NoFrame::OtherVersion(_)) => None,
            Err(NoFrame::Damaged) => {
                // Should another process have put a good file here meanwhile, it goes as well: one more miss.
                let _stays_a_miss = fs::remove_file(self.path(key));
                None
            }
        }
    }

    fn write(&self, key: CacheKey, entry: Entry) -> Result<(), CacheError> {
        let stored = Stored { key, entry };
        let payload = serde_json::to_vec(&stored).map_err(CacheError::Encode)?;
        let bytes = frame::encode(&payload).ok_or(CacheError::TooLarge {
            bytes: payload.len(),
            limit: frame::LIMIT,
        })?;
        let created = unfinished::create(&self.scratch, "record-");
        let (mut file, unfinished) = created.map_err(failed("create a file in", &self.scratch))?;
        let written = fault::point("record.write").and_then(|()| file.write_all(&bytes));
        written.map_err(failed("write", &unfinished))?;
        let path = self.path(key);
        fault::point("record.rename").map_err(failed("rename a file to", &path))?;
        let renamed = unfinished::put(unfinished, &path).and_then(|()| fault::point("record.renamed"));
        renamed.map_err(failed("rename a file to", &path))
    }
}

impl CacheStore for LocalCache {
    fn lookup(&self, key: CacheKey) -> Option<Record> {
        let mut key = key;
        for _ in 0..=MOST_LINKS {
            match self.read(key)? {
                Entry::Record(record) | Entry::Adopted(record) => return Some(*record),
                Entry::Link(next) => key = next,
            }
        }
        None
    }

    fn save(&self, record: &Record) -> Result<(), CacheError> {
        self.write(record.key, Entry::Record(Box::new(record.clone())))
    }

    fn adopt(&self, key: CacheKey, record: &Record) -> Result<(), CacheError> {
        self.write(key, Entry::Adopted(Box::new(record.clone())))
    }

    fn link(&self, alias: CacheKey, key: CacheKey) -> Result<(), CacheError> {
        if alias == key {
            return Ok(());
        }
        self.write(alias, Entry::Link(key))
    }
}

/// What a file of an index says.
#[derive(Clone, PartialEq, Debug)]
pub enum Inspected {
    /// A record.
    Record(Box<Record>),
    /// The way to a record.
    Link(CacheKey),
    /// Something that only another version of croze understands.
    Foreign,
    /// Nothing that can be believed.
    Damaged,
}

/// Reads a file of an index and changes nothing; `None` if it is not there.
///
/// # Errors
/// If it cannot be read: then nobody knows what it says.
pub fn inspect(path: &Path) -> io::Result<Option<Inspected>> {
    let bytes = match File::open(path).and_then(read_small) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    let key = path.file_name().and_then(|name| CacheKey::from_hex(name.to_str()?));
    let entry = key.ok_or(NoFrame::Damaged).and_then(|key| decode(&bytes, key));
    Ok(Some(match entry {
        Ok(Entry::Record(record) | Entry::Adopted(record)) => Inspected::Record(record),
        Ok(Entry::Link(key)) => Inspected::Link(key),
        Err(NoFrame::OtherVersion(_)) => Inspected::Foreign,
        Err(NoFrame::Damaged) => Inspected::Damaged,
    }))
}

/// Returns what stands in the file of a key.
fn decode(bytes: &[u8], key: CacheKey) -> Result<Entry, NoFrame> {
    let stored = serde_json::from_slice::<Stored>(frame::decode(bytes)?).ok();
    stored
        .filter(|stored| stored.key == key)
        .map(|stored| stored.entry)
        .filter(|entry| !matches!(entry, Entry::Record(record) if record.key != key))
        .ok_or(NoFrame::Damaged)
}

/// Reads a file, but never more than a record can have.
fn read_small(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(frame::FILE_LIMIT as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn failed<'a>(verb: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> CacheError + use<'a> {
    move |source| CacheError::Io {
        verb,
        path: path.to_owned(),
        source,
    }
}
