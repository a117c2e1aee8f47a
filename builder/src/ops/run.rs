//! `RUN`: a process in a new snapshot.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;

use jiff::Timestamp;
use snapshotter::{SnapshotName, Writes};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{OpError, Ops, Rootfs, Value, blocking, changed, made_now, mounts, recheck, snapshot_name};
use crate::context::Selection;
use crate::devices::HostMount;
use crate::executor::{self, Content, Credentials, Ended, Mount, MountSource, Privileges, Process, Stop};
use crate::graph::Vertex;
use crate::identity::{self, Identity};
use crate::op::{Network, Op, RunOp, Security};
use crate::progress::Stream;
use crate::solver::{Serves, Work};

/// Bytes with which no step gets far.
const SPACE_TO_SPEAK_OF: u64 = 64 * 1024;

/// Inodes that croze itself gives back when a step has ended, which found none left.
const INODES_TO_SPEAK_OF: u64 = 16;
/// Mode of a heredoc script.
const SCRIPT_MODE: u32 = 0o755;

/// Runs the command and returns the root file system with what it changed on top, and whom that may serve. `selected` has,
/// by input, what was digested for the key.
pub(super) async fn run(
    ops: &Ops,
    vertex: &Vertex<Op>,
    op: &RunOp,
    work: &Work<Value>,
    selected: HashMap<usize, Vec<Selection>>,
) -> Result<(Rootfs, Serves), OpError> {
    let files = changed(&work.inputs, op.scratch);
    let (mut workspace, identity) = {
        let (stacks, chain, user) = (ops.stacks.clone(), files.chain(), op.user.clone());
        blocking(move || {
            let workspace = stacks.workspace(&chain, Writes::Anything)?;
            let identity = identity::resolve(&workspace.below()?, &user)?;
            Ok((workspace, identity))
        })
        .await?
    };
    let devices = ops.devices.edits(&op.devices)?;
    let mounts = mounts::prepare(ops, op, work, &selected, ops.step(vertex)).await?;
    let mut special_owners = workspace.special_owners()?;
    for (path, owner) in &mounts.owners {
        special_owners.set(path.clone(), *owner);
    }
    let process = Process {
        args: op.args.clone(),
        env: environment(op, &identity, mounts.env.iter().chain(&devices.env)),
        cwd: op.cwd.clone().into(),
        credentials: Credentials {
            uid: identity.uid,
            gid: identity.gid,
            groups: identity.groups.clone(),
        },
        privileges: match op.security {
            Security::Sandbox => Privileges::Docker,
            Security::Insecure => Privileges::All,
        },
        rootfs: workspace.tree(),
        mounts: script(op)
            .into_iter()
            .chain(mounts.mounts.iter().cloned())
            .chain(devices.mounts.into_iter().map(device_mount))
            .collect(),
        network: match op.network {
            Network::Default => executor::Network::Default,
            Network::None => executor::Network::None,
            Network::Host => executor::Network::Host,
        },
        hostname: op.hostname.clone(),
        extra_hosts: op.extra_hosts.clone(),
        resolv_conf: ops.surroundings.resolv_conf.clone(),
        shm_size: ops.surroundings.shm_size,
        limits: ops.surroundings.limits.clone(),
        special_owners,
    };
    let command = || op.args.join(" ");
    let step = ops.step(vertex);
    let output = |stream, bytes| async move {
        if let Some(step) = step {
            ops.progress.print(step, stream, bytes).await;
        }
    };
    let failed = |source| OpError::Exec {
        command: command(),
        source,
    };
    let executor = ops.executor(&command())?;
    let (stop, stopped) = watch::channel(Stop::No);
    let ended = tokio::select! {
        ended = executor.run(&process, output, stopped) => ended,
        never = pass_on(&work.cancel, &ops.kill, &stop) => match never {},
    };
    let Ended {
        exit,
        special_owners,
        only_moved,
        without_place,
    } = ended.map_err(failed)?;
    if let (Some(step), Some(path)) = (step, &without_place) {
        let note = format!(
            "croze: `{}` could not be made: no new name can be made in this container's `/`\n",
            path.display()
        );
        ops.progress.log(step, Stream::Stderr, note.into());
    }
    if work.cancel.is_cancelled() {
        return Err(OpError::Cancelled);
    }
    if !exit.is_success() && is_full(workspace.directory()) {
        return Err(OpError::NoSpace {
            command: command(),
            exit,
        });
    }
    if !exit.is_success() {
        return Err(OpError::Exit {
            command: command(),
            exit,
        });
    }
    let serves = recheck::serves(ops, vertex, op, &work.inputs, selected).await;
    let mut name = snapshot_name(work.key)?;
    if serves == Serves::This {
        // Should the step run once more in this build, it must not find this under the name of that run.
        name = SnapshotName::new(&format!("{name}-{}", Timestamp::now().as_nanosecond()))?;
    }
    let made = name.clone();
    workspace.set_moved(only_moved);
    blocking(move || Ok(workspace.commit_owned(&made, &special_owners)?)).await?;
    Ok((files.with(made_now(name)), serves))
}

/// Returns whether the file system of a directory has no space or no inodes left to speak of.
fn is_full(directory: &Path) -> bool {
    rustix::fs::statvfs(directory).is_ok_and(|left| {
        let inodes_gone = left.f_files > 0 && left.f_favail < INODES_TO_SPEAK_OF;
        left.f_bavail.saturating_mul(left.f_frsize) < SPACE_TO_SPEAK_OF || inodes_gone
    })
}

/// Asks the step to end when the build is cancelled, and kills it when the user has no patience left.
async fn pass_on(cancel: &CancellationToken, kill: &CancellationToken, stop: &watch::Sender<Stop>) -> Infallible {
    cancel.cancelled().await;
    stop.send_replace(Stop::Gently);
    kill.cancelled().await;
    stop.send_replace(Stop::Now);
    std::future::pending().await
}

/// Returns the environment: the Dockerfile's, then what only this run has, which wins. `HOME` is the user's unless set.
fn environment<'a>(
    op: &'a RunOp,
    identity: &Identity,
    own: impl Iterator<Item = &'a (String, String)>,
) -> Vec<(String, String)> {
    let mut env = op.env.clone();
    if env.iter().all(|(name, _)| name != "HOME") {
        env.push(("HOME".to_owned(), identity.home.clone()));
    }
    for variable in op.proxy_env.iter().chain(own) {
        // One of each name: of two, some programs take the first and some the last.
        env.retain(|(name, _)| *name != variable.0);
        env.push(variable.clone());
    }
    env
}

fn device_mount(mount: HostMount) -> Mount {
    Mount {
        target: mount.target,
        source: MountSource::Host {
            path: mount.path,
            restrictions: mount.restrictions,
        },
    }
}

fn script(op: &RunOp) -> Option<Mount> {
    let (name, text) = op.script.as_ref()?;
    Some(Mount {
        target: format!("/dev/pipes/{name}").into(),
        source: MountSource::File {
            content: Content(text.clone().into_bytes()),
            mode: SCRIPT_MODE,
            uid: 0,
            gid: 0,
        },
    })
}
