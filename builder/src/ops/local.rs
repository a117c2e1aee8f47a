//! A context directory as a value: its files in place, and what earlier builds remembered of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use registry::oci::Digest;
use snapshotter::{FsError, Inodes, Root};

use super::bind::Copies;
use crate::context::{StatCache, Tree};
use crate::diagnostic::SourceFile;
use crate::dockerfile::ignore::Matcher;

/// A directory of the host that a build reads.
pub struct LocalContext {
    /// Where it is.
    pub path: PathBuf,
    /// Its files, without what the ignore file hides.
    pub tree: Tree,
    /// Digests of its files from earlier builds.
    pub remembered: StatCache,
    /// Whether anything can be hidden.
    pub has_patterns: bool,
    /// Whether the state directory lies in it.
    pub holds_state: bool,
    /// What of it was copied for steps.
    pub(super) copies: Copies,
}

impl LocalContext {
    /// Opens a directory whose files are looked at through `inodes`; `ignored` is its compiled ignore file, `memory`
    /// the directory for what is remembered.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: &Path, inodes: Inodes, ignored: Matcher, memory: &Path) -> Result<Arc<Self>, FsError> {
        let root = Root::open(path)?.with_inodes(inodes);
        let name = Digest::of(path.as_os_str().as_encoded_bytes()).hex();
        Ok(Arc::new(Self {
            path: path.to_owned(),
            has_patterns: !ignored.is_empty(),
            holds_state: std::fs::canonicalize(path).is_ok_and(|path| memory.starts_with(path)),
            tree: Tree::context(root, ignored),
            remembered: StatCache::load(&memory.join(name)),
            copies: Copies::default(),
        }))
    }
}

/// A directory whose files a build may read, as the command line names it.
#[derive(Clone, Debug)]
pub struct LocalDirectory {
    /// Where it is.
    pub path: PathBuf,
    /// The ignore file that applies to it.
    pub ignore: Option<Arc<SourceFile>>,
}
