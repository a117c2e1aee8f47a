//! The rung for whoever may change the root and nothing else, `chroot`: tried by a copy of the process that does so.

use std::io;
use std::path::Path;

use rustix::fs::{XattrFlags, fsetxattr};
use rustix::process::chroot;
use rustix::thread::set_no_new_privs;
use seccompiler::sock_filter;

use super::copy::{Number, in_copy};
use super::trial::{Entry, Place, Refusal, Trial};
use super::{Confinement, ProcView, Rung, StatePlace};
use crate::sys;

/// Tries it.
pub(super) fn try_chroot(place: Place<'_>) -> Trial {
    let mut trial = Trial::of(Rung::Chroot);
    let changed = apart(|| Ok(chroot(place.state_root)?));
    let changed = changed.map_err(|source| Refusal::NoChroot { source });
    trial.needs("root directory", Some(changed), |()| "can be changed".into());
    let supervised = apart(listen).map_err(|source| Refusal::NoSupervisor { source });
    trial.needs("supervisor", Some(supervised), |()| "can be asked by the kernel".into());
    let kept = keep_attribute(place.state_root).map_err(|source| Refusal::NoAttributes { source });
    trial.needs("owners in the state directory", Some(kept), |()| "can be kept".into());
    trial.entry = Entry::Beside;
    trial.confinement = trial.is_complete().then_some(Confinement {
        rung: Rung::Chroot,
        stacking: Rung::Chroot.stacking(),
        proc: ProcView::Bound,
        state: StatePlace::Disk,
    });
    trial
}

/// Does something in a copy of this process.
fn apart(work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    in_copy(|| work().map_err(Number::of))?.map_err(io::Error::from)
}

/// Installs a filter with a listener that stops nothing.
fn listen() -> io::Result<()> {
    set_no_new_privs(true)?;
    let allow = sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k: libc::SECCOMP_RET_ALLOW,
    };
    sys::install_listener(&[allow]).map(drop)
}

fn keep_attribute(state_root: &Path) -> io::Result<()> {
    let file = tempfile::tempfile_in(state_root)?;
    Ok(fsetxattr(file, "user.croze.trial", b"", XattrFlags::CREATE)?)
}
