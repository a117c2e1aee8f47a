//! Copies between real trees; those about merging also through a real overlay mount.

mod archives;
mod changes;
mod destinations;
mod files;
mod parents;
mod trees;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use snapshotter::Root;

use super::{Arrival, Copied, Copier, CopyError};
use crate::context::{Query, SelectError, Tree, select};
use crate::dockerfile::ignore::Matcher;
use crate::identity::Owner;
use crate::op::{CopyOp, CopySource, InlineFile};

/// A context and a root file system, both real directories.
struct World {
    dir: tempfile::TempDir,
}

/// Why a test copy failed, in either half.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Select(#[from] SelectError),
    #[error(transparent)]
    Copy(#[from] CopyError),
}

impl World {
    /// Makes a context of files: `path` or `path=content`, a directory ends with `/`, a link is `path -> target`.
    /// Files have mode 0600 and directories 0700, as in BuildKit's tests.
    fn new(context: &[&str]) -> Self {
        let world = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(world.out("")).unwrap();
        set_mode(&world.out(""), 0o755);
        populate(&world.context(""), context);
        world
    }

    /// Adds files to the root file system that is copied into.
    fn existing(self, files: &[&str]) -> Self {
        populate(&self.out(""), files);
        self
    }

    fn context(&self, path: &str) -> PathBuf {
        self.dir.path().join("context").join(path)
    }

    fn out(&self, path: &str) -> PathBuf {
        self.dir.path().join("out").join(path)
    }

    fn tree(&self) -> Tree {
        Tree::context(Root::open(&self.context("")).unwrap(), Matcher::default())
    }

    /// Performs a copy from the context.
    fn copy(&self, op: &CopyOp) -> Result<Copied, Failure> {
        self.copy_as(op, None, false)
    }

    fn copy_as(&self, op: &CopyOp, owner: Option<Owner>, keep_owner: bool) -> Result<Copied, Failure> {
        copy_into(&Root::open(&self.out("")).unwrap(), &self.tree(), op, owner, keep_owner)
    }

    /// Returns every path of the root file system, sorted; directories end with `/`, links show their target.
    fn listing(&self) -> Vec<String> {
        let mut names = Vec::new();
        list(&self.out(""), "", &mut names);
        names
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.out(path)).unwrap()
    }
}

fn copy_into(into: &Root, tree: &Tree, op: &CopyOp, owner: Option<Owner>, keep_owner: bool) -> Result<Copied, Failure> {
    let mut copier = Copier::new(op, owner, into);
    for source in &op.sources {
        match source {
            CopySource::Inline(file) => copier.add_inline(file)?,
            CopySource::Path { path, unpack, .. } => {
                let query = Query::Source {
                    path,
                    parents: op.parents,
                    exclude: &op.exclude,
                };
                let arrival = Arrival {
                    keep_owner,
                    unpack: *unpack,
                };
                copier.add_selection(tree, &select(tree, query, None)?, arrival)?;
            }
        }
    }
    Ok(copier.finish()?)
}

/// Makes a `COPY` without flags.
fn op(sources: &[&str], destination: &str) -> CopyOp {
    let path = |path: &&str| CopySource::Path {
        input: 0,
        path: (*path).to_owned(),
        keep_owner: false,
        unpack: false,
    };
    CopyOp::into_scratch(sources.iter().map(path).collect(), destination)
}

/// Makes a `COPY` of heredocs, given as name and content.
fn heredocs(files: &[(&str, &str)], destination: &str) -> CopyOp {
    let inline = |(name, content): &(&str, &str)| {
        CopySource::Inline(InlineFile {
            name: (*name).to_owned(),
            content: (*content).to_owned(),
        })
    };
    CopyOp {
        sources: files.iter().map(inline).collect(),
        ..op(&[], destination)
    }
}

fn populate(top: &Path, files: &[&str]) {
    fs::create_dir_all(top).unwrap();
    for file in files {
        if let Some((path, target)) = file.split_once(" -> ") {
            make_parent(top, path);
            std::os::unix::fs::symlink(target, top.join(path)).unwrap();
        } else if let Some(path) = file.strip_suffix('/') {
            make_parent(top, path);
            fs::create_dir_all(top.join(path)).unwrap();
            set_mode(&top.join(path), 0o700);
        } else {
            let (path, content) = file.split_once('=').unwrap_or((file, file));
            make_parent(top, path);
            fs::write(top.join(path), content).unwrap();
            set_mode(&top.join(path), 0o600);
        }
    }
}

fn make_parent(top: &Path, path: &str) {
    let mut here = top.to_owned();
    for name in Path::new(path).parent().unwrap() {
        here.push(name);
        if !here.exists() {
            fs::create_dir(&here).unwrap();
            set_mode(&here, 0o700);
        }
    }
}

fn list(directory: &Path, prefix: &str, names: &mut Vec<String>) {
    let mut entries: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let file_type = entry.file_type().unwrap();
        if file_type.is_dir() {
            names.push(format!("{path}/"));
            list(&entry.path(), &format!("{path}/"), names);
        } else if file_type.is_symlink() {
            names.push(format!("{path} -> {}", fs::read_link(entry.path()).unwrap().display()));
        } else {
            names.push(path);
        }
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn owner(path: &Path) -> (u32, u32) {
    let metadata = fs::symlink_metadata(path).unwrap();
    (metadata.uid(), metadata.gid())
}

fn chown(path: &Path, uid: u32, gid: u32) {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid)).unwrap();
}
