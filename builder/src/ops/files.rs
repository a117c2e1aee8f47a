//! `COPY`, `ADD` and `WORKDIR`: files put into a new snapshot through a tree that shows what lies below, too.

use std::io;
use std::path::Path;

use registry::oci::{Digest, Hasher};
use snapshotter::{DirAttributes, Root, Stacks, Timestamp, Workspace, Writes};

use super::value::Rootfs;
use super::{OpError, Value, changed, look, made_now, rootfs, snapshot_name};
use crate::context::{Query, Selection, Tree, Use, select};
use crate::copy::{Arrival, Copied, Copier};
use crate::identity::{self, Owner};
use crate::op::key::CacheKey;
use crate::op::{CopyOp, CopySource, Mount, MountSource, Op, RunOp, WorkdirOp};
use crate::solver::Work;

/// Mode of a new working directory.
const WORKDIR_MODE: u32 = 0o755;

/// Selects what an operation reads of one input, in the order of its sources or mounts.
pub(super) fn selections(stacks: &Stacks, op: &Op, input: usize, value: &Value) -> Result<Vec<Selection>, OpError> {
    let queries = match op {
        Op::Copy(op) => copy_queries(op, input),
        Op::Run(op) => mount_queries(op, input),
        Op::Image(_) | Op::Local(_) | Op::Http(_) | Op::Git(_) | Op::Workdir(_) | Op::Merge => Vec::new(),
    };
    with_tree(stacks, value, |tree, cache| {
        queries
            .into_iter()
            .map(|query| Ok(select(tree, query, cache)?))
            .collect()
    })
}

/// Returns the digest of what was selected, as far as the operation sees it, and of the owner that its
/// names mean where the input gives them their meaning.
pub(super) fn digest(
    stacks: &Stacks,
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
                let owner = look(stacks, files, |accounts| Ok(identity::resolve_owner(&accounts, chown)?))?;
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
        .filter_map(mounted)
        .filter_map(|(input, path)| (input == wanted).then_some(Query::Exact(path)))
        .collect()
}

/// Returns the input that a mount takes a path from, and the path, if it takes one.
pub(super) fn mounted(mount: &Mount) -> Option<(usize, &str)> {
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
        } => Some((*input, path)),
        _ => None,
    }
}

/// Opens the tree of a value, with what is remembered of its files.
fn with_tree<T>(
    stacks: &Stacks,
    value: &Value,
    act: impl FnOnce(&Tree, Option<&crate::context::StatCache>) -> Result<T, OpError>,
) -> Result<T, OpError> {
    match value {
        Value::Context(context) => act(&context.tree, Some(&context.remembered)),
        Value::Files(files) => look(stacks, files, |root| act(&Tree::root_fs(root), None)),
    }
}

/// Begins a snapshot that only croze writes to.
fn workspace(stacks: &Stacks, below: &Rootfs) -> Result<Workspace, OpError> {
    Ok(stacks.workspace(&below.chain(), Writes::NewFiles)?)
}

/// Ends it as the layer of a key.
fn commit(workspace: Workspace, below: &Rootfs, key: CacheKey) -> Result<Rootfs, OpError> {
    let name = snapshot_name(key)?;
    workspace.commit(&name)?;
    Ok(below.with(made_now(name)))
}

/// Performs a copy, and returns what was copied too. `selected` has, by input, what was digested for the key; what it lacks is selected now.
pub(super) fn copy(
    stacks: &Stacks,
    op: &CopyOp,
    work: &Work<Value>,
    mut selected: impl FnMut(usize) -> Option<Vec<Selection>>,
) -> Result<(Rootfs, Copied), OpError> {
    let inputs = &work.inputs;
    let below = changed(inputs, op.scratch);
    let workspace = workspace(stacks, &below)?;
    let root = workspace.root()?;
    let owner = owner(stacks, op, inputs, root)?;
    let mut copier = Copier::new(op, owner, root).until(work.cancel.clone());
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
                with_tree(stacks, value, |tree, remembered| {
                    let selection = match selection {
                        Some(selection) => selection,
                        None => select(tree, source_query(op, path), remembered)?,
                    };
                    Ok(copier.add_selection(tree, &selection, arrival)?)
                })?;
            }
        }
    }
    let copied = copier.finish()?;
    Ok((commit(workspace, &below, work.key)?, copied))
}

/// Resolves `--chown` with the accounts of the input that it names, or of the destination.
fn owner(stacks: &Stacks, op: &CopyOp, inputs: &[Value], into: &Root) -> Result<Option<Owner>, OpError> {
    let Some(chown) = &op.chown else { return Ok(None) };
    Ok(Some(match op.names_from {
        Some(input) => look(stacks, &rootfs(inputs, input), |accounts| {
            Ok(identity::resolve_owner(&accounts, chown)?)
        })?,
        None => identity::resolve_owner(into, chown)?,
    }))
}

/// Makes a working directory, owned by the user in force, unless it is there.
pub(super) fn make_workdir(
    stacks: &Stacks,
    op: &WorkdirOp,
    inputs: &[Value],
    key: CacheKey,
) -> Result<Rootfs, OpError> {
    let below = changed(inputs, op.scratch);
    let workspace = workspace(stacks, &below)?;
    let root = workspace.root()?;
    let (uid, gid) = if op.user.is_empty() {
        (0, 0)
    } else {
        let identity = identity::resolve(root, &op.user)?;
        (identity.uid, identity.gid)
    };
    let attributes = DirAttributes {
        mode: WORKDIR_MODE,
        uid,
        gid,
        mtime: op.mtime.map(Timestamp::from_seconds),
    };
    root.make_dirs(Path::new(&op.path), &attributes)?;
    commit(workspace, &below, key)
}

/// Fills a new cache with what a path of a root file system holds.
pub(super) fn fill(stacks: &Stacks, files: &Rootfs, path: &str, fresh: &Path) -> io::Result<()> {
    let copied = || {
        let into = stacks.store().open_beside(fresh)?;
        look(stacks, files, |root| {
            let tree = Tree::root_fs(root);
            let selection = select(&tree, Query::Exact(path), None)?;
            copy_whole(&tree, &selection, &into, Arrival::kept())
        })
    };
    copied().map_err(io::Error::other)
}

/// Copies what was selected of a tree to the top of another, as it is.
pub(super) fn copy_whole(tree: &Tree, selection: &Selection, into: &Root, arrival: Arrival) -> Result<(), OpError> {
    let op = CopyOp::into_scratch(Vec::new(), "/");
    Ok(Copier::new(&op, None, into).add_selection(tree, selection, arrival)?)
}
