//! The rung for whoever may change the root and nothing else, `chroot`: tried by a copy of the process that does so.

use std::io;
use std::path::Path;

use rustix::fs::{XattrFlags, fsetxattr};
use rustix::process::chroot;

use super::copy::{Number, in_copy};
use super::trial::{Entry, Place, Refusal, Trial};
use super::{Confinement, Landlock, ProcView, Rung, StatePlace};

/// Tries it.
pub(super) fn try_chroot(place: Place<'_>) -> Trial {
    let mut trial = Trial::of(Rung::Chroot);
    let changed = apart(|| Ok(chroot(place.state_root)?));
    let changed = changed.map_err(|source| Refusal::NoChroot { source });
    trial.needs("root directory", Some(changed), |()| "can be changed".into());
    trial.needs("supervision", Some(place.try_supervision()), |()| {
        "system calls can be answered".into()
    });
    let kept = keep_attribute(place.state_root).map_err(|source| Refusal::NoAttributes { source });
    trial.needs("owners in the state directory", Some(kept), |()| "can be kept".into());
    trial.entry = Entry::Beside;
    trial.confinement = trial.is_complete().then_some(Confinement {
        rung: Rung::Chroot,
        stacking: Rung::Chroot.stacking(),
        proc: ProcView::Bound,
        landlock: Landlock::find(),
        state: StatePlace::Disk,
    });
    trial
}

/// Does something in a copy of this process.
pub(super) fn apart(work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    in_copy(|| work().map_err(Number::of))?.map_err(io::Error::from)
}

/// Keeps an extended attribute where state will be kept.
pub(super) fn keep_attribute(state_root: &Path) -> io::Result<()> {
    let file = tempfile::tempfile_in(state_root)?;
    Ok(fsetxattr(file, "user.croze.trial", b"", XattrFlags::CREATE)?)
}
