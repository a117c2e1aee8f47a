//! Walking what a match names, and noting what is selected of it.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::readlinkat;
use rustix::io::Errno;
use snapshotter::walk::{self, Next, Place, Visitor};
use snapshotter::{FileType, FsError, Stat, xattr};

use super::filter::{Filter, FilterDescent};
use crate::context::error::{SelectError, absolute, changed};
use crate::context::hash::{File, Hashed};
use crate::context::selection::{Content, Entry, Standing, below};
use crate::context::tree::Tree;
use crate::dockerfile::ignore::Descent;

/// What was selected, before its files are hashed.
#[derive(Default)]
pub(super) struct Drafts(Vec<Draft>);

struct Draft {
    path: PathBuf,
    stat: Stat,
    standing: Standing,
    /// `None` for a regular file, whose content is still to be hashed.
    content: Option<Content>,
}

impl Drafts {
    /// Returns whether nothing was selected, or nothing in a directory that was walked.
    pub(super) fn are_bare(&self) -> bool {
        match self.0.as_slice() {
            [] => true,
            [top] => top.stat.is_dir(),
            _ => false,
        }
    }

    /// Returns the regular files.
    pub(super) fn files(&self, origin: &Path) -> Vec<File> {
        let files = self.0.iter().filter(|draft| draft.content.is_none());
        files
            .map(|draft| File {
                path: below(origin, &draft.path),
                stat: draft.stat,
            })
            .collect()
    }

    /// Puts the hashed files, which come in the order of [`Drafts::files`], in their places.
    pub(super) fn into_entries(self, hashed: Vec<Hashed>) -> Vec<Entry> {
        let mut hashed = hashed.into_iter();
        let entry = |draft: Draft| {
            let (stat, content) = match draft.content {
                Some(content) => (draft.stat, content),
                None => hashed
                    .next()
                    .map(|Hashed { stat, content }| (stat, Content::File(content)))?,
            };
            Some(Entry {
                path: draft.path,
                stat,
                content,
                standing: draft.standing,
            })
        };
        self.0.into_iter().filter_map(entry).collect()
    }
}

/// Walks the match at `origin`.
pub(super) fn collect(tree: &Tree, origin: &Path, stat: Stat, filter: &Filter) -> Result<Drafts, SelectError> {
    let mut collector = Collector {
        tree,
        hidden: tree.hidden(),
        origin,
        filter: filter.descent(),
        drafts: Vec::new(),
        pending: Vec::new(),
        xattrs: xattr::Reader::default(),
    };
    if stat.is_dir() {
        let dir = tree.root().open_dir(origin)?;
        let content = collector.directory(dir.as_fd(), origin)?;
        collector.select(Path::new(""), stat, Some(content));
        walk::walk(dir, &mut collector).map_err(|error| match error {
            SelectError::Unreadable(error) => changed(origin, error),
            error => error,
        })?;
    } else {
        let content = (stat.file_type != FileType::RegularFile).then_some(Content::Nothing);
        collector.select(Path::new(""), stat, content);
    }
    Ok(Drafts(collector.drafts))
}

struct Collector<'a> {
    tree: &'a Tree,
    hidden: Descent<'a>,
    origin: &'a Path,
    filter: FilterDescent<'a>,
    drafts: Vec<Draft>,
    /// The directories around the present place that are only there if something in them is.
    pending: Vec<Draft>,
    xattrs: xattr::Reader,
}

impl Collector<'_> {
    /// Notes what was asked for, and the directories on the way to it.
    fn select(&mut self, path: &Path, stat: Stat, content: Option<Content>) {
        self.drafts.append(&mut self.pending);
        self.drafts.push(Draft {
            path: path.to_owned(),
            stat,
            standing: Standing::Selected,
            content,
        });
    }

    fn directory(&mut self, dir: BorrowedFd<'_>, path: &Path) -> Result<Content, SelectError> {
        let found = self
            .tree
            .root()
            .inodes()
            .xattrs(dir, &mut self.xattrs)
            .map_err(|errno| failed("read attributes of", path, errno))?;
        Ok(Content::Directory(found.xattrs))
    }

    fn other(&self, place: &Place<'_>, path: &Path, stat: &Stat) -> Result<Option<Content>, SelectError> {
        match stat.file_type {
            FileType::RegularFile => Ok(None),
            FileType::Symlink => {
                let target = readlinkat(place.dir, place.name, Vec::new());
                let target = target.map_err(|errno| failed("read link", path, errno))?.into_bytes();
                Ok(Some(Content::Link(OsString::from_vec(target).into())))
            }
            _ => Ok(Some(Content::Nothing)),
        }
    }
}

impl Visitor for Collector<'_> {
    type Error = SelectError;

    fn visit(&mut self, place: &Place<'_>) -> Result<Next, SelectError> {
        let path = below(self.origin, place.path);
        let hidden = self.hidden.ignores(&path);
        let filtered = !self.filter.selects(place.path);
        if (hidden || filtered) && !matches!(place.file_type, FileType::Directory | FileType::Unknown) {
            return Ok(Next::Pass);
        }
        let stat = match self.tree.root().inodes().stat_at(place.dir, place.name.to_bytes()) {
            // Listed a moment ago, and gone by now, as temporary files are: it might have been gone a moment earlier.
            Err(Errno::NOENT) => return Ok(Next::Pass),
            stat => stat.map_err(|errno| failed("stat", &path, errno))?,
        };
        if !stat.is_dir() {
            if !hidden && !filtered {
                let content = self.other(place, &path, &stat)?;
                self.select(place.path, stat, content);
            }
            return Ok(Next::Pass);
        }
        let useless =
            hidden && self.hidden.ignores_all_below(&path) || filtered && !self.filter.may_select_below(place.path);
        if useless {
            return Ok(Next::Pass);
        }
        let dir = match walk::open_dir(place) {
            Err(error) if error.errno() == Some(Errno::NOENT) => return Ok(Next::Pass),
            dir => dir.map_err(|error| changed(&path, error))?,
        };
        let content = Some(self.directory(dir.as_fd(), &path)?);
        if hidden || filtered {
            self.pending.push(Draft {
                path: place.path.to_owned(),
                stat,
                standing: if filtered {
                    Standing::Implied
                } else {
                    Standing::Selected
                },
                content,
            });
        } else {
            self.select(place.path, stat, content);
        }
        Ok(Next::Enter(dir))
    }

    fn leave(&mut self, place: &Place<'_>) -> Result<(), SelectError> {
        self.pending.pop_if(|draft| draft.path == place.path);
        Ok(())
    }
}

/// Reports a failed call.
fn failed(verb: &'static str, path: &Path, errno: Errno) -> SelectError {
    changed(path, FsError::new(verb, absolute(path), errno))
}

/// Returns the names of a directory that can be seen, for suggestions.
pub(super) fn visible_names(tree: &Tree, directory: &Path) -> Result<Vec<String>, SelectError> {
    struct Lister<'a> {
        hidden: Descent<'a>,
        directory: &'a Path,
        names: Vec<String>,
    }
    impl Visitor for Lister<'_> {
        type Error = FsError;

        fn visit(&mut self, place: &Place<'_>) -> Result<Next, FsError> {
            if !self.hidden.ignores(self.directory.join(place.path)) {
                let name = OsStr::from_bytes(place.name.to_bytes());
                self.names.push(name.to_string_lossy().into_owned());
            }
            Ok(Next::Pass)
        }
    }
    let mut lister = Lister {
        hidden: tree.hidden(),
        directory,
        names: Vec::new(),
    };
    walk::walk(tree.root().open_dir(directory)?, &mut lister)?;
    Ok(lister.names)
}
