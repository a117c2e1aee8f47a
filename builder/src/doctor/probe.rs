//! Does in a copy of the process what a build would do, and tells how far it came.

use std::cell::Cell;
use std::error::Error;
use std::fs;
use std::io::{self, PipeWriter, Read, Write};
use std::path::Path;

use landlock::{CompatLevel, Compatible, LandlockStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope};
use nix::sched::CloneFlags;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use rustix::process::{Pid, WaitOptions, waitpid};
use serde::{Deserialize, Serialize};
use snapshotter::{Overlay, Upper};

use super::{Status, probe_dir};
use crate::rootless::{self, id_map::IdMap};
use crate::sys;

/// Scopes came with this version of Landlock, in Linux 6.12.
const LANDLOCK_WITH_SCOPES: i32 = 6;

/// What a build would find.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Probed {
    pub(super) namespace: Status,
    pub(super) overlay: Status,
    pub(super) proc: Status,
    pub(super) landlock: Status,
}

impl Probed {
    /// Where the user namespace cannot be entered, nothing behind it can be tried.
    pub(super) fn not_entered(namespace: Status) -> Self {
        let untried = || Status::Misses {
            cause: "not tried: it needs the user namespace".into(),
            fix: None,
        };
        Self {
            namespace,
            overlay: untried(),
            proc: untried(),
            landlock: untried(),
        }
    }
}

/// Tries everything in a copy of this process.
pub(super) fn probe(map: &IdMap, state_root: &Path) -> Probed {
    in_copy(|| try_all(map, state_root)).unwrap_or_else(|error| {
        Probed::not_entered(Status::Misses {
            cause: format!("cannot probe: {error}"),
            fix: None,
        })
    })
}

fn try_all(map: &IdMap, state_root: &Path) -> Probed {
    if let Err(error) = rootless::enter(map) {
        return Probed::not_entered(Status::from_enter_error(&error));
    }
    Probed {
        namespace: Status::has("entered"),
        overlay: try_overlay(state_root),
        proc: try_proc(),
        // Last: it stays.
        landlock: try_landlock(),
    }
}

/// Runs a function in a copy of the process and returns what it returned there.
fn in_copy<T: Serialize + for<'de> Deserialize<'de>>(function: impl FnOnce() -> T) -> io::Result<T> {
    let (reader, writer) = io::pipe()?;
    let ours = Cell::new(Some(reader));
    let child = {
        let ours = &ours;
        move || {
            drop(ours.take());
            send(&function(), writer)
        }
    };
    let child = sys::fork(child)?;
    let mut text = Vec::new();
    if let Some(mut reader) = ours.take() {
        reader.read_to_end(&mut text)?;
    }
    reap(child)?;
    Ok(serde_json::from_slice(&text)?)
}

fn send(value: &impl Serialize, mut to: PipeWriter) -> u8 {
    let text = serde_json::to_vec(value).unwrap_or_default();
    u8::from(to.write_all(&text).is_err())
}

fn reap(child: Pid) -> io::Result<()> {
    while let Err(error) = waitpid(Some(child), WaitOptions::empty()) {
        if error != Errno::INTR {
            return Err(error.into());
        }
    }
    Ok(())
}

/// Stacks two directories and replaces one of the lower, which is where overlays without `userxattr` fail.
fn try_overlay(state_root: &Path) -> Status {
    let dir = probe_dir(state_root);
    let tried = stack_and_replace(&dir);
    let _best_effort = fs::remove_dir_all(&dir);
    match tried {
        Ok(()) => Status::has(format!("works in `{}`", state_root.display())),
        Err(error) => Status::misses(
            chain(error.as_ref()),
            "use Linux 6.5 or newer and keep the state directory on ext4, xfs, btrfs or tmpfs, not on a container's own \
             root: set `CROZE_ROOT` to a volume, in Kubernetes to an `emptyDir`",
        ),
    }
}

fn stack_and_replace(dir: &Path) -> Result<(), Box<dyn Error>> {
    for part in ["lower/replaced", "upper", "work"] {
        fs::create_dir_all(dir.join(part))?;
    }
    let overlay = Overlay {
        lower: vec![dir.join("lower")],
        upper: Some(Upper {
            dir: dir.join("upper"),
            work: dir.join("work"),
        }),
    };
    let mount = overlay.mount()?;
    rustix::fs::unlinkat(&mount, "replaced", rustix::fs::AtFlags::REMOVEDIR)?;
    rustix::fs::mkdirat(&mount, "replaced", Mode::from_raw_mode(0o755))?;
    rustix::fs::unlinkat(&mount, "replaced", rustix::fs::AtFlags::REMOVEDIR)?;
    Ok(())
}

/// Mounts a procfs in a pid namespace of its own.
fn try_proc() -> Status {
    let tried = nix::sched::unshare(CloneFlags::CLONE_NEWPID)
        .map_err(io::Error::from)
        .and_then(|()| in_copy(|| mount_proc().err().map(Errno::raw_os_error)));
    let refused = match tried {
        Ok(None) => return Status::has("works"),
        Ok(Some(number)) => io::Error::from_raw_os_error(number),
        Err(error) => error,
    };
    Status::misses(
        format!("cannot mount a new `/proc`: {refused}"),
        "in Kubernetes set `securityContext.procMount: Unmasked` and `hostUsers: false`; with Docker or Podman pass \
         `--security-opt systempaths=unconfined`",
    )
}

fn mount_proc() -> rustix::io::Result<()> {
    let proc = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&proc)?;
    let mount = fsmount(&proc, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    openat(
        &mount,
        "self",
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map(drop)
}

/// Closes abstract sockets off, as a step does.
fn try_landlock() -> Status {
    let restricted = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .scope(Scope::AbstractUnixSocket)
        .and_then(Ruleset::create)
        .and_then(|ruleset| ruleset.no_new_privs(false).restrict_self());
    let found = match restricted.map(|status| status.landlock) {
        Ok(LandlockStatus::Available {
            effective_abi,
            kernel_abi,
        }) => {
            let version = kernel_abi.unwrap_or(effective_abi as i32);
            if version >= LANDLOCK_WITH_SCOPES {
                return Status::has(format!("version {version}"));
            }
            format!("Landlock has version {version} here")
        }
        Ok(LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) => "this kernel runs without Landlock".into(),
        Err(error) => chain(&error),
    };
    Status::misses(
        format!("{found}: steps can reach abstract Unix sockets in croze's network"),
        "use Linux 6.12 or newer with `landlock` among the `lsm=` modules",
    )
}

/// Returns an error's text with that of its causes.
pub(super) fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
