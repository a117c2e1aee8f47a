//! The rungs that have namespaces, `userns` and `direct`: tried by a child process that does what a build would do.
//!
//! ```text
//! croze                                   child
//!   starts it ──────────────────────────▶ makes its namespaces
//!             ◀────────────────────────── says so
//!   opens the user namespace, and writes  makes its mounts private, and in a pid namespace of its own
//!   the maps or has newuidmap write them  mounts a new procfs
//!             ◀────────────────────────── says what works
//!   lets it go on ──────────────────────▶ stacks directories as root, and has calls answered
//!             ◀────────────────────────── says whether that works
//!   enters the same user namespace
//! ```
//!
//! croze itself has changed nothing before all of the trial has succeeded: where it does not, the next rung is tried.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use nix::sched::CloneFlags;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, UnmountFlags, fsconfig_create,
    fsmount, fsopen, mount, mount_change, unmount,
};
use rustix::thread::CapabilitySet;
use serde::{Deserialize, Serialize};
use snapshotter::Ownership;

use super::copy::{Copy, Number, Original, in_copy};
use super::overlay::{self, Stackable};
use super::trial::{Entry, Place, Refusal, Trial};
use super::{Confinement, Landlock, ProcView, Rung, StatePlace};
use crate::rootless::id_map::{self, IdMap, Mapping, Writer};
use crate::rootless::{self, Caller, EnterError};
use crate::supervisor::try_supervision;

/// The number of Debian's `nobody` and `nogroup`.
const NOBODY: u32 = 65534;

/// What works in the child's namespaces.
#[derive(Debug, Serialize, Deserialize)]
struct Findings {
    private: Result<(), Number>,
    proc: Result<(), Number>,
}

/// What works there for root of the namespaces.
#[derive(Debug, Serialize, Deserialize)]
struct AsRoot {
    /// Whether system calls can be answered, if they have to be.
    supervised: Option<Result<(), Number>>,
    stackable: Stackable,
}

/// Tries `userns`.
pub(super) fn try_userns(place: Place<'_>) -> Trial {
    try_user_namespace(Rung::Userns, place, id_map::plan)
}

/// Tries `userns-single`.
pub(super) fn try_userns_single(place: Place<'_>) -> Trial {
    try_user_namespace(Rung::UsernsSingle, place, |caller| Ok(id_map::single(caller)))
}

fn try_user_namespace(rung: Rung, place: Place<'_>, map: fn(&Caller) -> Result<IdMap, EnterError>) -> Trial {
    let mut trial = Trial::of(rung);
    let flags = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS;
    let child = child(rung, flags, place, |error| rootless::why_no_namespace(error).into());
    let child = trial.needs("user namespace", Some(child), |_| "can be made".into());
    let map = Caller::read().and_then(|caller| map(&caller));
    let map = trial.needs("ids", Some(map.map_err(Refusal::from)), |map| {
        format!(
            "{} users, {} groups",
            id_map::count(&map.uids),
            id_map::count(&map.gids)
        )
    });
    if rung.ownership() == Ownership::Real {
        let nobody = map.as_ref().map(has_nobody);
        trial.wants(false, "id of `nobody`", nobody, |()| NOBODY.to_string());
    }
    let writer = map.as_ref().map(|map| map.writer);
    let given = child.as_ref().zip(map).map(|(child, map)| give_ids(child, &map));
    let namespace = trial.needs("id map", given, |_| match writer {
        Some(Writer::Helpers) => "written by `newuidmap` and `newgidmap`".into(),
        Some(Writer::Direct | Writer::OwnRight) | None => "written by croze".into(),
    });
    try_mounts(&mut trial, child, namespace.is_some(), |error| {
        rootless::why_no_mount(error).into()
    });
    if let Some(namespace) = namespace {
        trial.entry = Entry::UserNamespace(namespace);
    }
    trial
}

/// Tries `direct`.
pub(super) fn try_direct(place: Place<'_>) -> Trial {
    let mut trial = Trial::of(Rung::Direct);
    let held = rustix::thread::capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    let has = |capability, refusal| {
        Some(if held.contains(capability) {
            Ok(())
        } else {
            Err(refusal)
        })
    };
    let is_there = |(): &()| "in effect".to_owned();
    let admin = trial.needs(
        "CAP_SYS_ADMIN",
        has(CapabilitySet::SYS_ADMIN, Refusal::NotAdmin),
        is_there,
    );
    let setpcap = trial.needs("CAP_SETPCAP", has(CapabilitySet::SETPCAP, Refusal::NoSetpcap), is_there);
    let child = admin.and(setpcap).map(|()| {
        child(Rung::Direct, CloneFlags::CLONE_NEWNS, place, |source| {
            Refusal::NoMount { source }
        })
    });
    let child = trial.needs("mount namespace", child, |_| "can be made".into());
    try_mounts(&mut trial, child, true, |source| Refusal::NoMount { source });
    trial.entry = Entry::MountNamespace;
    trial
}

/// Whether a map has the user and the group that programs take on to have no rights; apt does for every download.
fn has_nobody(map: &IdMap) -> Result<(), Refusal> {
    let count = id_map::count(&map.uids).min(id_map::count(&map.gids));
    let contains = |map: &[Mapping]| {
        let mut ranges = map
            .iter()
            .map(|mapping| mapping.inside..mapping.inside.saturating_add(mapping.count));
        ranges.any(|range| range.contains(&NOBODY))
    };
    if contains(&map.uids) && contains(&map.gids) {
        Ok(())
    } else {
        Err(Refusal::NoNobody { count })
    }
}

/// Starts a child in new namespaces.
fn child(
    rung: Rung,
    flags: CloneFlags,
    place: Place<'_>,
    refused: impl FnOnce(io::Error) -> Refusal,
) -> Result<Copy, Refusal> {
    let child = Copy::start(|original| live(original, rung, flags, place));
    let mut child = child.map_err(Refusal::trial("start a trial"))?;
    match child.hear::<Result<(), Number>>() {
        Ok(Ok(())) => Ok(child),
        Ok(Err(number)) => Err(refused(number.into())),
        Err(error) => Err(Refusal::trial("hear from a trial")(error)),
    }
}

/// The child's whole life.
fn live(mut original: Original, rung: Rung, flags: CloneFlags, place: Place<'_>) -> io::Result<()> {
    let made = nix::sched::unshare(flags);
    original.say(&made.map_err(Number::of))?;
    made?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    original.say(&Findings {
        private: mount_change("/", private).map_err(Number::of),
        proc: new_proc().map_err(Number::of),
    })?;
    original.await_go()?;
    let supervise = || in_copy(|| try_supervision().map_err(Number::of)).unwrap_or_else(|error| Err(Number::of(error)));
    original.say(&AsRoot {
        supervised: (rung.ownership() == Ownership::Emulated).then(supervise),
        stackable: overlay::try_on(place),
    })
}

/// Mounts a procfs in a new pid namespace. Another copy makes that: who has made one cannot have threads any more.
fn new_proc() -> io::Result<()> {
    let mut maker = Copy::start(|mut original| original.say(&first_process().map_err(Number::of)))?;
    maker.hear::<Result<(), Number>>()?.map_err(io::Error::from)
}

/// Makes a pid namespace and mounts a procfs as its first process.
fn first_process() -> io::Result<()> {
    nix::sched::unshare(CloneFlags::CLONE_NEWPID)?;
    let mut first = Copy::start(|mut original| original.say(&mount_proc().map_err(Number::of)))?;
    first.hear::<Result<(), Number>>()?.map_err(io::Error::from)
}

fn mount_proc() -> rustix::io::Result<()> {
    let proc = match fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC) {
        // An old kernel. The mounts are the child's own, so this one may be covered for a moment.
        Err(Errno::NOSYS) => {
            mount("proc", "/proc", "proc", MountFlags::empty(), c"")?;
            return unmount("/proc", UnmountFlags::DETACH);
        }
        proc => proc?,
    };
    fsconfig_create(&proc)?;
    let mount = fsmount(&proc, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    let link = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(&mount, "self", link, Mode::empty()).map(drop)
}

/// Gives the child's user namespace its ids and returns the namespace.
fn give_ids(child: &Copy, map: &IdMap) -> Result<OwnedFd, Refusal> {
    let path = PathBuf::from(format!("/proc/{}/ns/user", child.process().as_raw_pid()));
    let namespace = File::open(&path).map_err(|source| EnterError::Read { path, source })?;
    rootless::write_maps(child.process(), map)?;
    Ok(namespace.into())
}

/// Hears from the child what works in its namespaces. It can go on once it has its ids.
fn try_mounts(trial: &mut Trial, mut child: Option<Copy>, has_ids: bool, why: impl Fn(io::Error) -> Refusal) {
    let silent = Refusal::trial("hear from a trial");
    let (mounts, proc) = match child.as_mut().map(Copy::hear::<Findings>) {
        Some(Ok(Findings { private, proc })) => (Some(private.map_err(|number| why(number.into()))), Some(proc)),
        Some(Err(error)) => (Some(Err(silent(error))), None),
        None => (None, None),
    };
    let mounts = trial.needs("mounts", mounts, |()| "allowed".into());
    let proc = proc.map(|proc| proc.map_err(|number| Refusal::NoProc { source: number.into() }));
    let proc = trial.wants(trial.rung == Rung::Direct, "new /proc", proc, |()| "works".into());
    let child = child.filter(|_| has_ids && mounts.is_some());
    let as_root = child.map(|mut child| {
        child.go_on().map_err(&silent)?;
        child.hear::<AsRoot>().map_err(&silent)
    });
    let (supervised, stackable) = match as_root {
        Some(Ok(AsRoot { supervised, stackable })) => (supervised, Some(Ok(stackable))),
        Some(Err(refusal)) => (None, Some(Err(refusal))),
        None => (None, None),
    };
    if trial.rung.ownership() == Ownership::Emulated {
        let supervised = supervised.map(|tried| tried.map_err(|number| Refusal::no_supervision(number.into())));
        trial.needs("supervision", supervised, |()| "system calls can be answered".into());
    }
    let no_overlay = |cause| Some(Err(Refusal::NoOverlay { cause }));
    let (overlay, state) = match stackable {
        Some(Ok(Stackable::OnDisk)) => (Some(Ok(())), Some(StatePlace::Disk)),
        Some(Ok(Stackable::InMemory { cause })) => (no_overlay(cause), Some(StatePlace::Memory)),
        Some(Ok(Stackable::Nowhere { cause })) => (no_overlay(cause), None),
        Some(Err(refusal)) => (Some(Err(refusal)), None),
        None => (None, None),
    };
    trial.wants(state.is_none(), "overlay on the state directory", overlay, |()| {
        "works".into()
    });
    let rung = trial.rung;
    trial.confinement = state.filter(|_| trial.is_complete()).map(|state| Confinement {
        rung,
        stacking: rung.stacking(),
        state,
        proc: if proc.is_some() { ProcView::New } else { ProcView::Bound },
        landlock: Landlock::find(),
    });
}
