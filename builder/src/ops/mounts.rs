//! The mounts of a `RUN`: from inputs, caches, memory and secrets to what the executor mounts.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use snapshotter::{DirAttributes, Ownership};

use super::agent::AgentSocket;
use super::bind::{Bound, Sight, bind};
use super::cache_mount::{self, CacheIdentity, CacheLease, Usage};
use super::mount_travel::Imported;
use super::{OpError, Ops, Rootfs, SecretError, Value, blocking, files, rootfs};
use crate::context::Selection;
use crate::dockerfile::Sharing;
use crate::executor::{Content, Mount, MountSource, Tree};
use crate::op::{self, RunOp};
use crate::progress::{StepId, Stream};
use crate::solver::Work;

/// Mounts that are ready, with what must live as long as the step.
pub(super) struct Prepared {
    /// In order.
    pub(super) mounts: Vec<Mount>,
    /// Secrets that are variables.
    pub(super) env: Vec<(String, String)>,
    /// The owners of sockets that the kernel cannot give them, by path from the top of the step's root.
    pub(super) owners: Vec<(PathBuf, (u32, u32))>,
    #[expect(dead_code, reason = "held until the step has ended: dropping one closes its socket")]
    agents: Vec<AgentSocket>,
    #[expect(
        dead_code,
        reason = "held until the step has ended: dropping a lease lets others use the cache"
    )]
    caches: Vec<CacheLease>,
    #[expect(
        dead_code,
        reason = "held until the step has ended: dropping one takes its tree away"
    )]
    bound: Vec<Bound>,
}

/// A cache mount, taken apart.
#[derive(Clone)]
struct Wanted {
    id: String,
    sharing: Sharing,
    filling: Option<(Rootfs, String)>,
    renew: bool,
    mode: u32,
    uid: u32,
    gid: u32,
}

/// Prepares the mounts of an operation, waiting for `locked` caches. `selected` has, by input, what was digested of them.
pub(super) async fn prepare(
    ops: &Ops,
    op: &RunOp,
    work: &Work<Value>,
    selected: &HashMap<usize, Vec<Selection>>,
    step: Option<StepId>,
) -> Result<Prepared, OpError> {
    let (mut mounts, mut env, mut agents) = (Vec::new(), Vec::new(), Vec::new());
    let mut selected: HashMap<_, _> = selected.iter().map(|(input, of)| (*input, of.iter())).collect();
    let caches = take_caches(ops, op, work, step).await?;
    let (mut bound, mut owners) = (Vec::new(), Vec::new());
    for mount in &op.mounts {
        let target = PathBuf::from(&mount.target);
        let digested = files::mounted(mount).and_then(|(input, _)| selected.get_mut(&input)?.next());
        let source = match &mount.source {
            op::MountSource::Bind { input, path, writable } => {
                let (stacks, path, writable) = (ops.stacks.clone(), path.clone(), *writable);
                let input = input.and_then(|input| work.inputs.get(input)).cloned();
                let of_context = digested.filter(|_| matches!(input, Some(Value::Context(_))));
                let sight = of_context.map(Sight::of);
                let tree = blocking(move || bind(&stacks, input.as_ref(), &path, sight, writable)).await?;
                if let (Some(step), Some(copied)) = (step, &tree.copied) {
                    let note = format!("croze: {copied}\n");
                    ops.progress.log(step, Stream::Stderr, note.into());
                }
                let source = MountSource::Bind {
                    tree: tree.tree.clone(),
                    path: tree.path.clone(),
                    writable,
                };
                bound.push(tree);
                source
            }
            op::MountSource::Cache {
                input, path, readonly, ..
            } => {
                // Filled from an input, the path was taken there; in an empty cache it is a directory below its top.
                let below = PathBuf::from(if input.is_some() { "/" } else { path });
                let name = Wanted::of(&mount.source, ops, work).map(|wanted| wanted.identity().directory_name());
                let Some(lease) = name.and_then(|name| caches.get(&name)) else {
                    continue;
                };
                ops.stacks
                    .store()
                    .open_beside(&lease.directory)?
                    .make_dirs(&below, &DirAttributes::default())?;
                let tree = Tree::Directory(lease.directory.clone());
                MountSource::Bind {
                    tree,
                    path: below,
                    writable: !readonly,
                }
            }
            op::MountSource::Tmpfs { size } => MountSource::Tmpfs { size: *size },
            op::MountSource::Secret {
                id,
                required,
                mode,
                uid,
                gid,
                env: variable,
            } => {
                let Some(secret) = ops.secrets.get(id)? else {
                    if *required {
                        return Err(SecretError::Missing(id.clone()).into());
                    }
                    continue;
                };
                if let Some(name) = variable {
                    let text = String::from_utf8(secret.clone()).map_err(|_| SecretError::NotText(id.clone()))?;
                    env.push((name.clone(), text));
                }
                if mount.target.is_empty() {
                    continue;
                }
                MountSource::File {
                    content: Content(secret),
                    mode: *mode,
                    uid: *uid,
                    gid: *gid,
                }
            }
            op::MountSource::Ssh {
                id,
                required,
                mode,
                uid,
                gid,
            } => {
                let Some(agent) = ops.secrets.agents.get(id) else {
                    if *required {
                        return Err(SecretError::MissingAgent(id.clone()).into());
                    }
                    continue;
                };
                let directory = ops.mount_point.parent().unwrap_or(&ops.mount_point);
                let owner = match ops.stacks.store().ownership() {
                    Ownership::Real => Some((*uid, *gid)),
                    Ownership::Emulated => {
                        let path = target.strip_prefix("/").unwrap_or(&target);
                        owners.push((path.to_owned(), (*uid, *gid)));
                        None
                    }
                };
                let socket = AgentSocket::open(directory, agent.clone(), *mode, owner)?;
                let path = socket.path();
                agents.push(socket);
                MountSource::Host {
                    path,
                    restrictions: Vec::new(),
                }
            }
        };
        mounts.push(Mount { target, source });
    }
    Ok(Prepared {
        mounts,
        env,
        owners,
        agents,
        caches: caches.into_values().collect(),
        bound,
    })
}

/// Takes the caches of a step by their names, each once, and in the order of these: no two steps can wait for each other.
async fn take_caches(
    ops: &Ops,
    op: &RunOp,
    work: &Work<Value>,
    step: Option<StepId>,
) -> Result<BTreeMap<String, CacheLease>, OpError> {
    let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
    for next in op
        .mounts
        .iter()
        .filter_map(|mount| Wanted::of(&mount.source, ops, work))
    {
        let name = next.identity().directory_name();
        let known = wanted.entry(name).or_insert_with(|| next.clone());
        // Who wants it for themselves in one place has it so in all.
        if next.sharing != Sharing::Shared && known.sharing != Sharing::Locked {
            known.sharing = next.sharing;
        }
    }
    let mut caches = BTreeMap::new();
    for (name, wanted) in wanted {
        caches.insert(name, cache(ops, work, wanted, step).await?);
    }
    Ok(caches)
}

/// Takes a cache, filled first if it is new and comes from somewhere: from another machine, or from an input.
async fn cache(ops: &Ops, work: &Work<Value>, wanted: Wanted, step: Option<StepId>) -> Result<CacheLease, OpError> {
    let (lease, emptied, stacks, cancel) = (
        Arc::clone(&ops.lease),
        Arc::clone(&ops.emptied_caches),
        ops.stacks.clone(),
        work.cancel.clone(),
    );
    let name = wanted.identity().directory_name();
    let imported = match wanted.renew {
        true => Imported::default(),
        false => ops.import_mount(&wanted.id, &name, step).await,
    };
    ops.use_mount(&wanted.id, name);
    blocking(move || {
        let identity = wanted.identity();
        let fill = |fresh: &Path| match (&imported.files, &wanted.filling) {
            // An empty directory gives way to another.
            (Some(files), _) => fs::rename(files.path(), fresh),
            (None, None) => Ok(()),
            (None, Some((files, path))) => files::fill(&stacks, files, path, fresh),
        };
        let usage = Usage {
            ownership: stacks.store().ownership(),
            sharing: wanted.sharing,
            emptied: wanted.renew.then_some(&*emptied),
            fill: &fill,
            cancelled: &|| cancel.is_cancelled(),
        };
        Ok(cache_mount::acquire(&lease, &identity, &usage)?)
    })
    .await
}

impl Wanted {
    /// Returns what a mount wants, if it is one of a cache.
    fn of(source: &op::MountSource, ops: &Ops, work: &Work<Value>) -> Option<Self> {
        let op::MountSource::Cache {
            id,
            sharing,
            input,
            path,
            mode,
            uid,
            gid,
            ..
        } = source
        else {
            return None;
        };
        Some(Self {
            id: id.clone(),
            sharing: *sharing,
            filling: input.map(|input| (rootfs(&work.inputs, input), path.clone())),
            renew: ops.renew_mounts,
            mode: *mode,
            uid: *uid,
            gid: *gid,
        })
    }

    fn identity(&self) -> CacheIdentity<'_> {
        let filled_from = self
            .filling
            .as_ref()
            .map(|(files, path)| (files.identity(), path.clone()));
        CacheIdentity {
            id: &self.id,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            filled_from,
        }
    }
}
