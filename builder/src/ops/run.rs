//! `RUN`: a process in a new snapshot.

use std::convert::Infallible;
use std::path::Path;

use snapshotter::{Overlay, Upper};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{OpError, Ops, Rootfs, Value, blocking, changed, made_now, mounts, snapshot_name, view};
use crate::devices::HostMount;
use crate::executor::{self, Content, Credentials, Mount, MountSource, Privileges, Process, Stop};
use crate::graph::Vertex;
use crate::identity::{self, Identity};
use crate::op::{Network, Op, RunOp, Security};
use crate::solver::Work;

/// Bytes with which no step gets far.
const SPACE_TO_SPEAK_OF: u64 = 64 * 1024;
/// Mode of a heredoc script.
const SCRIPT_MODE: u32 = 0o755;

/// Runs the command and returns the root file system with what it changed on top.
pub(super) async fn run(ops: &Ops, vertex: &Vertex<Op>, op: &RunOp, work: &Work<Value>) -> Result<Rootfs, OpError> {
    let files = changed(&work.inputs, op.scratch);
    let identity = {
        let (snapshots, files, user) = (ops.snapshots.clone(), files.clone(), op.user.clone());
        blocking(move || Ok(identity::resolve(&view(&snapshots, &files)?, &user)?)).await?
    };
    let devices = ops.devices.edits(&op.devices)?;
    let mounts = mounts::prepare(ops, op, work).await?;
    let active = ops.snapshots.prepare()?;
    let upper = Upper {
        dir: active.upper().to_owned(),
        work: active.work().to_owned(),
    };
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
        rootfs: snapshotter::Tree::Overlay(Overlay {
            lower: files.lower(&ops.snapshots),
            upper: Some(upper),
        }),
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
    };
    let command = || op.args.join(" ");
    let step = ops.step(vertex);
    let output = |stream, bytes| {
        if let Some(step) = step {
            ops.progress.log(step, stream, bytes);
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
    let exit = ended.map_err(failed)?.exit;
    if work.cancel.is_cancelled() {
        return Err(OpError::Cancelled);
    }
    if !exit.is_success() && is_full(active.upper()) {
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
    let name = snapshot_name(work.key)?;
    active.commit(&name)?;
    Ok(files.with(made_now(name)))
}

/// Returns whether the file system of a directory has no space or no inodes left to speak of.
fn is_full(directory: &Path) -> bool {
    rustix::fs::statvfs(directory).is_ok_and(|left| {
        let inodes_gone = left.f_files > 0 && left.f_favail == 0;
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
