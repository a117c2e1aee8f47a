//! `COPY`, `ADD` and `WORKDIR`: files put into a new snapshot through a mounted view of what lies below.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use registry::oci::{Digest, Hasher};
use snapshotter::{ActiveSnapshot, DirAttributes, Overlay, Root, SnapshotStore, Timestamp, Upper};

use super::value::Rootfs;
use super::{LocalContext, OpError, Value, changed, made_now, rootfs, snapshot_name, view};
use crate::context::{Query, Selection, Tree, Use, select};
use crate::copy::{Arrival, Copier};
use crate::identity::{self, Owner};
use crate::op::key::CacheKey;
use crate::op::{CopyOp, CopySource, Mount, MountSource, Op, RunOp, WorkdirOp};

/// Mode of a new working directory.
const WORKDIR_MODE: u32 = 0o755;

/// Selects what an operation reads of one input, in the order of its sources or mounts.
pub(super) fn selections(
    snapshots: &SnapshotStore,
    op: &Op,
    input: usize,
    value: &Value,
) -> Result<Vec<Selection>, OpError> {
    let queries = match op {
        Op::Copy(op) => copy_queries(op, input),
        Op::Run(op) => mount_queries(op, input),
        Op::Image(_) | Op::Local(_) | Op::Http(_) | Op::Git(_) | Op::Workdir(_) | Op::Merge => Vec::new(),
    };
    with_tree(snapshots, value, |tree, cache| {
        queries
            .into_iter()
            .map(|query| Ok(select(tree, query, cache)?))
            .collect()
    })
}

/// Returns the digest of what was selected, as far as the operation sees it, and of the owner that its
/// names mean where the input gives them their meaning.
pub(super) fn digest(
    snapshots: &SnapshotStore,
    op: &Op,
    input: usize,
    value: &Value,
    selections: &[Selection],
) -> Result<Digest, OpError> {
    // Digests and numbers have one length each, so that putting them one behind the other is unambiguous.
    let mut hasher = Hasher::new();
    match op {
        Op::Copy(op) => {
            let kept = op.sources.iter().filter_map(|source| match source {
                CopySource::Path {
                    input: from,
                    keep_owner,
                    ..
                } if *from == input => Some(*keep_owner),
                _ => None,
            });
            for (selection, keep_owner) in selections.iter().zip(kept) {
                let keep_owner = keep_owner && op.chown.is_none();
                let used = Use::Copy {
                    chmod: op.chmod.as_ref(),
                    keep_owner,
                };
                hasher.update(selection.digest(used).as_bytes());
            }
            if let (Some(chown), Value::Files(files), true) = (&op.chown, value, op.names_from == Some(input)) {
                let owner = identity::resolve_owner(&view(snapshots, files)?, chown)?;
                hasher.update(&owner.uid.to_le_bytes());
                hasher.update(&owner.gid.to_le_bytes());
            }
        }
        _ => {
            let used = Use::Mount {
                keep_owner: matches!(value, Value::Files(_)),
            };
            selections
                .iter()
                .for_each(|selection| hasher.update(selection.digest(used).as_bytes()));
        }
    }
    Ok(hasher.finish())
}

fn copy_queries(op: &CopyOp, wanted: usize) -> Vec<Query<'_>> {
    let query = |source| match source {
        &CopySource::Path { input, ref path, .. } if input == wanted => Some(source_query(op, path)),
        _ => None,
    };
    op.sources.iter().filter_map(query).collect()
}

fn source_query<'a>(op: &'a CopyOp, path: &'a str) -> Query<'a> {
    Query::Source {
        path,
        parents: op.parents,
        exclude: &op.exclude,
    }
}

fn mount_queries(op: &RunOp, wanted: usize) -> Vec<Query<'_>> {
    op.mounts
        .iter()
        .filter_map(|mount| mounted_path(mount, wanted))
        .map(Query::Exact)
        .collect()
}

/// Returns the path that a mount takes from the input `wanted`, if it takes one.
fn mounted_path(mount: &Mount, wanted: usize) -> Option<&str> {
    match &mount.source {
        MountSource::Bind {
            input: Some(input),
            path,
            ..
        }
        | MountSource::Cache {
            input: Some(input),
            path,
            ..
        } => (*input == wanted).then_some(path),
        _ => None,
    }
}

/// Opens the tree of a value, with what is remembered of its files.
fn with_tree<T>(
    snapshots: &SnapshotStore,
    value: &Value,
    act: impl FnOnce(&Tree, Option<&crate::context::StatCache>) -> Result<T, OpError>,
) -> Result<T, OpError> {
    match value {
        Value::Context(context) => act(&context.tree, Some(&context.remembered)),
        Value::Files(files) => act(&Tree::root_fs(view(snapshots, files)?), None),
    }
}

/// A snapshot in the making, seen as the whole root file system that it changes.
struct Working {
    snapshot: ActiveSnapshot,
    root: Root,
}

impl Working {
    fn prepare(snapshots: &SnapshotStore, below: &Rootfs) -> Result<Self, OpError> {
        let snapshot = snapshots.prepare()?;
        let upper = Upper {
            dir: snapshot.upper().to_owned(),
            work: snapshot.work().to_owned(),
        };
        let overlay = Overlay {
            lower: below.lower(snapshots),
            upper: Some(upper),
        };
        Ok(Self {
            root: Root::from_fd(overlay.mount()?),
            snapshot,
        })
    }

    fn commit(self, below: &Rootfs, key: CacheKey) -> Result<Rootfs, OpError> {
        let name = snapshot_name(key)?;
        drop(self.root);
        self.snapshot.commit(&name)?;
        Ok(below.with(made_now(name)))
    }
}

/// Performs a copy. `selected` has, by input, what was digested for the key; what it lacks is selected now.
pub(super) fn copy(
    snapshots: &SnapshotStore,
    op: &CopyOp,
    inputs: &[Value],
    mut selected: impl FnMut(usize) -> Option<Vec<Selection>>,
    key: CacheKey,
) -> Result<Rootfs, OpError> {
    let below = changed(inputs, op.scratch);
    let working = Working::prepare(snapshots, &below)?;
    let owner = owner(snapshots, op, inputs, &working.root)?;
    let mut copier = Copier::new(op, owner, &working.root);
    let mut waiting = std::collections::HashMap::new();
    for source in &op.sources {
        match source {
            CopySource::Inline(file) => copier.add_inline(file)?,
            CopySource::Path {
                input,
                path,
                keep_owner,
                unpack,
            } => {
                let value = inputs.get(*input).ok_or(OpError::Cancelled)?;
                let known = waiting
                    .entry(*input)
                    .or_insert_with(|| selected(*input).unwrap_or_default().into_iter());
                let selection = known.next();
                let arrival = Arrival {
                    keep_owner: *keep_owner,
                    unpack: *unpack,
                };
                with_tree(snapshots, value, |tree, remembered| {
                    let selection = match selection {
                        Some(selection) => selection,
                        None => select(tree, source_query(op, path), remembered)?,
                    };
                    Ok(copier.add_selection(tree, &selection, arrival)?)
                })?;
            }
        }
    }
    copier.finish()?;
    working.commit(&below, key)
}

/// Resolves `--chown` with the accounts of the input that it names, or of the destination.
fn owner(snapshots: &SnapshotStore, op: &CopyOp, inputs: &[Value], into: &Root) -> Result<Option<Owner>, OpError> {
    let Some(chown) = &op.chown else { return Ok(None) };
    let accounts = match op.names_from {
        Some(input) => Some(view(snapshots, &rootfs(inputs, input))?),
        None => None,
    };
    Ok(Some(identity::resolve_owner(accounts.as_ref().unwrap_or(into), chown)?))
}

/// Makes a working directory, owned by the user in force, unless it is there.
pub(super) fn make_workdir(
    snapshots: &SnapshotStore,
    op: &WorkdirOp,
    inputs: &[Value],
    key: CacheKey,
) -> Result<Rootfs, OpError> {
    let below = changed(inputs, op.scratch);
    let working = Working::prepare(snapshots, &below)?;
    let (uid, gid) = if op.user.is_empty() {
        (0, 0)
    } else {
        let identity = identity::resolve(&working.root, &op.user)?;
        (identity.uid, identity.gid)
    };
    let attributes = DirAttributes {
        mode: WORKDIR_MODE,
        uid,
        gid,
        mtime: op.mtime.map(Timestamp::from_seconds),
    };
    working.root.make_dirs(Path::new(&op.path), &attributes)?;
    working.commit(&below, key)
}

/// Fills a new cache with what a path of a root file system holds.
pub(super) fn fill(snapshots: &SnapshotStore, files: &Rootfs, path: &str, fresh: &Path) -> io::Result<()> {
    let copied = || {
        let into = snapshots.open_beside(fresh)?;
        let op = CopyOp {
            scratch: true,
            sources: Vec::new(),
            destination: "/".to_owned(),
            chown: None,
            names_from: None,
            chmod: None,
            parents: false,
            exclude: Vec::new(),
            mtime: None,
        };
        let tree = Tree::root_fs(view(snapshots, files)?);
        let selection = select(&tree, Query::Exact(path), None)?;
        Ok::<_, OpError>(Copier::new(&op, None, &into).add_selection(&tree, &selection, Arrival::kept())?)
    };
    copied().map_err(io::Error::other)
}

/// Returns a stack that shows a context as its ignore file leaves it.
///
/// The context itself is the lower directory, in place; what is ignored is hidden by whiteouts in a layer
/// of their own, so that a step cannot read what a `COPY` could not.
pub(super) fn context_tree(context: &LocalContext, veil: Option<&ActiveSnapshot>) -> Result<Overlay, OpError> {
    let mut lower = vec![context.path.clone()];
    if let Some(veil) = veil {
        let into = Root::open(veil.upper())?;
        hide(context, Path::new(""), &into)?;
        lower.insert(0, veil.upper().to_owned());
    }
    Ok(Overlay { lower, upper: None })
}

/// Hides below `dir` what the ignore file hides.
fn hide(context: &LocalContext, dir: &Path, into: &Root) -> Result<(), OpError> {
    let failed = |source| OpError::Read {
        path: context.path.join(dir).display().to_string(),
        source,
    };
    let opened = File::from(context.tree.root().open_dir(dir)?);
    for entry in rustix::fs::Dir::read_from(opened.as_fd())
        .map_err(io::Error::from)
        .map_err(failed)?
    {
        let entry = entry.map_err(io::Error::from).map_err(failed)?;
        let name = std::os::unix::ffi::OsStrExt::from_bytes(entry.file_name().to_bytes());
        let name: &std::ffi::OsStr = name;
        if name == "." || name == ".." {
            continue;
        }
        let path: PathBuf = dir.join(name);
        let hidden = context.tree.hidden_by(&path).is_some();
        if hidden && !context.tree.may_show_below(&path) {
            let parent = mirror(context, dir, into)?;
            let device = rustix::fs::makedev(0, 0);
            rustix::fs::mknodat(&parent, name, rustix::fs::FileType::CharacterDevice, 0.into(), device)
                .map_err(io::Error::from)
                .map_err(failed)?;
        } else if entry.file_type() == rustix::fs::FileType::Directory {
            hide(context, &path, into)?;
        }
    }
    Ok(())
}

/// Makes the directories down to `dir` in the veil, as they are in the context: the topmost layer's count.
fn mirror(context: &LocalContext, dir: &Path, into: &Root) -> Result<std::os::fd::OwnedFd, OpError> {
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
