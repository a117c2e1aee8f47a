//! What bind mounts show: inputs of a step as trees that live as long as it.
//!
//! A context is shown where it is if that shows what its key says; else a copy of what is mounted is, made once in a build.
//! Where steps can write to what they are to read only (flat trees), each has a copy of its own.

mod copies;
mod mounted;
mod sight;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Dir, FileType, makedev, mknodat};
use snapshotter::{
    ActiveSnapshot, DirAttributes, Overlay, Root, SnapshotName, Stacking, Stacks, Tree, View, Workspace, Writes,
};

use copies::ContextCopy;
pub(super) use copies::Copies;
pub(super) use sight::Sight;
use sight::{Obstacle, shown};

use super::files::copy_whole;
use super::{LocalContext, OpError, Value};
use crate::context::{Query, absolute, select};
use crate::copy::Arrival;
use crate::dockerfile::ignore::Descent;

/// A tree that is mounted, with what must live as long as the mount.
pub(super) struct Bound {
    pub(super) tree: Tree,
    /// What of the tree is to be mounted.
    pub(super) path: PathBuf,
    /// What to tell of it, if it is a copy that was made just now.
    pub(super) copied: Option<String>,
    #[expect(dead_code, reason = "held until the step has ended: dropping it takes the tree away")]
    held: Held,
}

#[expect(
    dead_code,
    reason = "held until the step has ended: dropping one takes the tree away"
)]
enum Held {
    View(View),
    Workspace(Workspace),
    Layers(Vec<ActiveSnapshot>),
    Copy(Arc<ContextCopy>, Option<ActiveSnapshot>),
}

/// Returns the tree that shows a path of an input; no input is an empty file system. What is written to it is thrown away.
/// `sight` is what was digested there of a context, if that is still known.
pub(super) fn bind(
    stacks: &Stacks,
    input: Option<&Value>,
    path: &str,
    sight: Option<Sight>,
    writable: bool,
) -> Result<Bound, OpError> {
    let context = match input {
        None => return files(stacks, &[], path, writable),
        Some(Value::Files(value)) => return files(stacks, &value.chain(), path, writable),
        Some(Value::Context(context)) => context,
    };
    if stacks.stacking() == Stacking::Flat {
        return copied(stacks, context, path);
    }
    let sight = match sight {
        Some(sight) => sight,
        None => Sight::of(&select(&context.tree, Query::Exact(path), Some(&context.remembered))?),
    };
    match sight.obstacle(context) {
        Some(obstacle) => copied_once(stacks, context, path, &sight, &obstacle, writable),
        None => in_place(stacks, context, sight, writable),
    }
}

fn files(stacks: &Stacks, chain: &[SnapshotName], path: &str, writable: bool) -> Result<Bound, OpError> {
    let path = PathBuf::from(path);
    if writable {
        let workspace = stacks.workspace(chain, Writes::Anything)?;
        return Ok(Bound {
            tree: workspace.tree(),
            path,
            copied: None,
            held: Held::Workspace(workspace),
        });
    }
    let view = stacks.view(chain)?;
    Ok(Bound {
        tree: view.tree(),
        path,
        copied: None,
        held: Held::View(view),
    })
}

/// Shows a context where it is.
///
/// The context itself is the lower directory, in place; what is ignored is hidden by whiteouts in a layer
/// of their own, so that a step cannot read what a `COPY` could not.
fn in_place(stacks: &Stacks, context: &LocalContext, sight: Sight, writable: bool) -> Result<Bound, OpError> {
    let mut lower = vec![context.path.clone()];
    let veiled = context.has_patterns && sight.is_directory;
    let veil = veiled.then(|| stacks.store().prepare()).transpose()?;
    if let Some(veil) = &veil {
        let into = veil.root()?;
        hide(context, &mut context.tree.hidden(), &sight.origin, &into)?;
        lower.insert(0, veil.upper().to_owned());
    }
    let thrown_away = writable.then(|| stacks.store().prepare()).transpose()?;
    Ok(Bound {
        tree: overlay(lower, thrown_away.as_ref()),
        path: absolute(&sight.origin),
        copied: None,
        held: Held::Layers(veil.into_iter().chain(thrown_away).collect()),
    })
}

/// Shows a copy of what can be seen at a path of a context. All steps of a build that are to see the same get the same one.
fn copied_once(
    stacks: &Stacks,
    context: &LocalContext,
    path: &str,
    sight: &Sight,
    obstacle: &Obstacle,
    writable: bool,
) -> Result<Bound, OpError> {
    let (copy, is_new) = context.copies.of(sight, || {
        let files = stacks.store().prepare()?;
        let sight = copy_seen(context, path, &files.root()?)?;
        Ok(ContextCopy { files, sight })
    })?;
    let thrown_away = writable.then(|| stacks.store().prepare()).transpose()?;
    Ok(Bound {
        tree: overlay(vec![copy.files.upper().to_owned()], thrown_away.as_ref()),
        path: absolute(&copy.sight.origin),
        copied: is_new.then(|| format!("a copy of `{}` is mounted: {obstacle}", shown(&copy.sight.origin))),
        held: Held::Copy(copy, thrown_away),
    })
}

/// Returns an overlay of directories; what is written to it comes to a layer of its own, if there is one.
fn overlay(lower: Vec<PathBuf>, thrown_away: Option<&ActiveSnapshot>) -> Tree {
    let upper = thrown_away.map(ActiveSnapshot::as_upper);
    Tree::Overlay(Overlay { lower, upper })
}

/// Copies what can be seen at a path of a context, where nothing can be shown in place.
fn copied(stacks: &Stacks, context: &LocalContext, path: &str) -> Result<Bound, OpError> {
    let workspace = stacks.workspace(&[], Writes::Anything)?;
    let sight = copy_seen(context, path, workspace.root()?)?;
    Ok(Bound {
        tree: workspace.tree(),
        path: absolute(&sight.origin),
        copied: None,
        held: Held::Workspace(workspace),
    })
}

/// Copies what can be seen at a path of a context to where it is there, links followed; returns what that is.
fn copy_seen(context: &LocalContext, path: &str, into: &Root) -> Result<Sight, OpError> {
    let selection = select(&context.tree, Query::Exact(path), Some(&context.remembered))?;
    let sight = Sight::of(&selection);
    if let Some(parent) = sight.origin.parent() {
        into.make_dirs(parent, &DirAttributes::default())?;
    }
    copy_whole(&context.tree, &selection.seen_from_top(), into, Arrival::default())?;
    Ok(sight)
}

/// Hides below `dir` what the ignore file hides.
fn hide(context: &LocalContext, hidden: &mut Descent<'_>, dir: &Path, into: &Root) -> Result<(), OpError> {
    let failed = |source| OpError::Read {
        path: context.path.join(dir).display().to_string(),
        source,
    };
    let opened = File::from(context.tree.root().open_dir(dir)?);
    for entry in Dir::read_from(opened.as_fd())
        .map_err(io::Error::from)
        .map_err(failed)?
    {
        let entry = entry.map_err(io::Error::from).map_err(failed)?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        let path: PathBuf = dir.join(name);
        let is_hidden = match entry.file_type() {
            // What is hidden itself may show something below it.
            FileType::Directory | FileType::Unknown => hidden.ignores_all_below(&path),
            _ => hidden.ignores(&path),
        };
        if is_hidden {
            let parent = mirror(context, dir, into)?;
            let device = makedev(0, 0);
            mknodat(&parent, name, FileType::CharacterDevice, 0.into(), device)
                .map_err(io::Error::from)
                .map_err(failed)?;
        } else if entry.file_type() == FileType::Directory {
            hide(context, hidden, &path, into)?;
        }
    }
    Ok(())
}

/// Makes the directories down to `dir` in the veil, as they are in the context: the topmost layer's count.
fn mirror(context: &LocalContext, dir: &Path, into: &Root) -> Result<OwnedFd, OpError> {
    let mut made = into.open_dir(Path::new(""))?;
    let mut path = PathBuf::new();
    for part in dir.components() {
        path.push(part);
        if let Some(stat) = context.tree.root().stat(&path, false)? {
            let attributes = DirAttributes {
                mode: stat.mode & 0o7777,
                uid: 0,
                gid: 0,
                mtime: Some(stat.mtime),
            };
            made = into.make_dirs(&path, &attributes)?;
        }
    }
    Ok(made)
}
