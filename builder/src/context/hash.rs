//! Hashing the files of a selection: remembered digests first, the rest by a few threads.
//!
//! Files are opened by name in their directory and never followed. A file that is longer by the time it is read
//! counts with the length it had when it was opened; one that became shorter is read again.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::SystemTime;

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use snapshotter::{FileType, FsError, Inodes, Stat, xattr};

use super::error::{SelectError, absolute, changed};
use super::file_digest::{self, BUFFER};
use super::selection::FileContent;
use super::stat_cache::StatCache;
use super::tree::Tree;

/// Number of threads at most: more only wait for the same disk.
const THREADS: usize = 8;

/// Number of files of one directory that a thread takes at once.
const BATCH: usize = 64;

/// Bytes below which starting threads costs more than it saves.
const WORTH_THREADS: u64 = 1 << 20;

/// How often a file that shrinks while it is read is read again.
const ATTEMPTS: usize = 3;

/// A file to hash: where it is in the tree, and what it was when it was found.
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) stat: Stat,
}

/// A hashed file: what it was when it was read.
#[derive(Clone, Copy)]
pub(super) struct Hashed {
    pub(super) stat: Stat,
    pub(super) content: FileContent,
}

/// Returns one result for each file, in their order. Files of one directory should come together.
pub(super) fn hash(tree: &Tree, files: &[File], cache: Option<&StatCache>) -> Result<Vec<Hashed>, SelectError> {
    let mut results: Vec<Option<Hashed>> = files
        .iter()
        .map(|File { path, stat }| {
            Some(Hashed {
                stat: *stat,
                content: cache?.lookup(path, stat)?,
            })
        })
        .collect();
    let unknown: Vec<usize> = (0..files.len()).filter(|&index| results[index].is_none()).collect();
    if unknown.is_empty() {
        return Ok(results.into_iter().flatten().collect());
    }
    let batches: Vec<&[usize]> = unknown
        .chunk_by(|&a, &b| files[a].path.parent() == files[b].path.parent())
        .flat_map(|directory| directory.chunks(BATCH))
        .collect();
    let work = Work {
        tree,
        files,
        cache,
        batches: &batches,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
    };
    for done in work.perform(threads_for(
        unknown.iter().map(|&index| files[index].stat.size).sum(),
        batches.len(),
    )) {
        for (index, hashed) in done? {
            results[index] = Some(hashed);
        }
    }
    // Each index was in exactly one batch, and each batch ended well.
    Ok(results.into_iter().flatten().collect())
}

fn threads_for(bytes: u64, batches: usize) -> usize {
    if bytes < WORTH_THREADS && batches < BATCH {
        return 1;
    }
    std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(THREADS)
        .min(batches)
}

type Done = Result<Vec<(usize, Hashed)>, SelectError>;

struct Work<'a> {
    tree: &'a Tree,
    files: &'a [File],
    cache: Option<&'a StatCache>,
    batches: &'a [&'a [usize]],
    next: AtomicUsize,
    stop: AtomicBool,
}

impl Work<'_> {
    fn perform(&self, threads: usize) -> Vec<Done> {
        if threads <= 1 {
            return vec![self.take_batches()];
        }
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| self.take_batches())).collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        })
    }

    /// Takes one batch after the other, until none is left or one fails anywhere.
    fn take_batches(&self) -> Done {
        let mut done = Vec::new();
        let mut reading = Reading {
            buffer: Vec::new(),
            xattrs: xattr::Reader::default(),
            inodes: self.tree.root().inodes(),
        };
        while !self.stop.load(Ordering::Relaxed) {
            let Some(batch) = self.batches.get(self.next.fetch_add(1, Ordering::Relaxed)) else {
                break;
            };
            match self.hash_batch(batch, &mut reading) {
                Ok(hashed) => done.extend(hashed),
                Err(error) => {
                    self.stop.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(done)
    }

    fn hash_batch(&self, batch: &[usize], reading: &mut Reading<'_>) -> Done {
        let directory = self.files[batch[0]].path.parent().unwrap_or(Path::new(""));
        let dir = self.tree.root().open_dir(directory);
        let dir = dir.map_err(|error| changed(directory, error))?;
        let hash = |&index: &usize| {
            let path = &self.files[index].path;
            let begun = SystemTime::now();
            let (hashed, is_still) = reading.file(dir.as_fd(), path)?;
            if let (Some(cache), true) = (self.cache, is_still) {
                cache.record(path, &hashed.stat, hashed.content, begun);
            }
            Ok((index, hashed))
        };
        batch.iter().map(hash).collect()
    }
}

/// What a thread needs to read files.
struct Reading<'a> {
    buffer: Vec<u8>,
    xattrs: xattr::Reader,
    inodes: &'a Inodes,
}

impl Reading<'_> {
    /// Hashes a file, and tells whether nothing changed it meanwhile.
    fn file(&mut self, dir: BorrowedFd<'_>, path: &Path) -> Result<(Hashed, bool), SelectError> {
        let failed = |verb| move |errno: Errno| FsError::new(verb, absolute(path), errno);
        let changed = || SelectError::ChangedWhileReading { path: absolute(path) };
        let name = path.file_name().unwrap_or_default().as_bytes();
        for _ in 0..ATTEMPTS {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            let file = match openat(dir, name, flags, Mode::empty()) {
                Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Err(changed()),
                file => std::fs::File::from(file.map_err(failed("open"))?),
            };
            let looked = self.inodes.stat_with_xattrs(file.as_fd(), &mut self.xattrs);
            let (stat, found) = looked.map_err(failed("read attributes of"))?;
            if stat.file_type != FileType::RegularFile {
                return Err(changed());
            }
            let xattrs = found.xattrs;
            let wanted = usize::try_from(stat.size).map_or(BUFFER, |size| size.min(BUFFER));
            if self.buffer.len() < wanted {
                self.buffer.resize(wanted, 0);
            }
            let digest = file_digest::of(&xattrs, &mut &file, stat.size, &mut self.buffer)
                .map_err(|error| FsError::new("read", absolute(path), error))?;
            if let Some(digest) = digest {
                let is_still = self.inodes.stat(file.as_fd()).map_err(failed("stat"))? == stat;
                let content = FileContent {
                    digest,
                    has_xattrs: !xattrs.is_empty(),
                };
                return Ok((Hashed { stat, content }, is_still));
            }
        }
        Err(changed())
    }
}
