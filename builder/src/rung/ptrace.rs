//! The rung for whoever may do nothing but trace its own children, `ptrace`: tried by a copy of the process that has a
//! child start a program by a path that leads to another one.

use std::io;
use std::path::Path;

use super::chroot::{apart, keep_attribute};
use super::trial::{Entry, Place, Refusal, Trial};
use super::{Confinement, Landlock, ProcView, Rung, StatePlace};
use crate::supervisor::try_detours;

/// Tries it.
pub(super) fn try_ptrace(place: Place<'_>) -> Trial {
    let mut trial = Trial::of(Rung::Ptrace);
    let supervised = trial.needs("supervision", Some(place.try_supervision()), |()| "works".into());
    let traced = supervised.map(|()| detour(place.state_root).map_err(Refusal::no_tracing));
    trial.needs("tracing", traced, |()| {
        "programs of the state directory can be started".into()
    });
    let kept = keep_attribute(place.state_root).map_err(|source| Refusal::NoAttributes { source });
    trial.needs("owners in the state directory", Some(kept), |()| "can be kept".into());
    trial.entry = Entry::Beside;
    trial.confinement = trial.is_complete().then_some(Confinement {
        rung: Rung::Ptrace,
        stacking: Rung::Ptrace.stacking(),
        proc: ProcView::Bound,
        landlock: Landlock::find(),
        state: StatePlace::Disk,
    });
    trial
}

fn detour(state_root: &Path) -> io::Result<()> {
    let directory = tempfile::tempdir_in(state_root)?;
    apart(|| try_detours(directory.path()))
}
