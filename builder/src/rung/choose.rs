//! Choosing a rung and entering it.

use std::os::fd::AsFd as _;
use std::path::Path;
use std::{fs, io};

use nix::sched::CloneFlags;
use rustix::mount::{MountPropagationFlags, mount_change};

use super::trial::{Entry, Known, Place, Refusal, Thoroughness, Trial};
use super::{Confinement, ProcView, Rung, StatePlace, chroot, in_place, namespaces, overlay, ptrace};
use crate::rootless;

/// The rungs from the strongest to the weakest. `direct` comes behind `userns`, which takes all power over the machine
/// away from croze itself too, and is preferred where only it can mount a new `/proc`.
const ORDER: [Rung; 7] = [
    Rung::Userns,
    Rung::Direct,
    Rung::UsernsSingle,
    Rung::InPlace,
    Rung::InPlaceSingle,
    Rung::Chroot,
    Rung::Ptrace,
];

/// The rung that this process has entered.
#[derive(Debug)]
pub struct Entered {
    /// What was found out about it.
    pub confinement: Confinement,
    /// What came of every rung that was tried, in order.
    pub trials: Vec<Trial>,
}

/// No rung works here, or the wanted one does not.
#[derive(Debug, thiserror::Error)]
#[error("{}", match .wanted {
    Some(rung) => format!("the sandbox `{rung}` does not work on this machine"),
    None => "no sandbox works on this machine".to_owned(),
})]
pub struct NoRung {
    /// The rung that was asked for.
    pub wanted: Option<Rung>,
    /// What came of every rung that was tried, in order.
    pub trials: Vec<Trial>,
}

fn examine(rung: Rung, place: Place<'_>) -> Trial {
    match rung {
        Rung::Direct => namespaces::try_direct(place),
        Rung::Userns => namespaces::try_userns(place),
        Rung::UsernsSingle => namespaces::try_userns_single(place),
        Rung::InPlace => in_place::try_in_place(place),
        Rung::InPlaceSingle => in_place::try_in_place_single(place),
        Rung::Chroot => chroot::try_chroot(place),
        Rung::Ptrace => ptrace::try_ptrace(place),
    }
}

/// Enters the wanted rung, or the strongest that works. `state_root` is where state will be kept. Must be called before there are threads.
///
/// Afterwards the process is root of its user namespace, and its mounts are its own. A rung is tried only as long as no
/// better one is known to work.
pub fn enter(wanted: Option<Rung>, state_root: &Path) -> Result<Entered, NoRung> {
    let known = Known::default();
    let place = Place {
        state_root: nearest_existing(state_root),
        thoroughness: Thoroughness::Quick,
        known: &known,
    };
    let mut survey = Survey::default();
    for rung in candidates(wanted) {
        if survey.could_use(rung) {
            survey.add(examine(rung, place));
        }
    }
    let Some(chosen) = survey.chosen else {
        return Err(NoRung {
            wanted,
            trials: survey.trials,
        });
    };
    let trial = &mut survey.trials[chosen.position];
    match follow(trial).and_then(|()| cover(state_root, chosen.confinement)) {
        Ok(()) => Ok(Entered {
            confinement: chosen.confinement,
            trials: survey.trials,
        }),
        Err(refusal) => {
            trial.refuse("entering", refusal);
            Err(NoRung {
                wanted,
                trials: survey.trials,
            })
        }
    }
}

/// Tries the wanted rung, or every rung, and changes nothing about this process. `state_root` is where state would be
/// kept. Must be called before there are threads.
pub fn survey(wanted: Option<Rung>, state_root: &Path) -> Survey {
    let known = Known::default();
    let place = Place {
        state_root: nearest_existing(state_root),
        thoroughness: Thoroughness::Full,
        known: &known,
    };
    let mut survey = Survey::default();
    for rung in candidates(wanted) {
        survey.add(examine(rung, place));
    }
    survey
}

/// The rungs that were tried, in order, and the one that is taken.
#[derive(Debug, Default)]
pub struct Survey {
    /// What came of each.
    pub trials: Vec<Trial>,
    chosen: Option<Chosen>,
}

#[derive(Clone, Copy, Debug)]
struct Chosen {
    /// Which of the trials.
    position: usize,
    confinement: Confinement,
}

impl Survey {
    /// Returns what a build would get.
    pub fn confinement(&self) -> Option<Confinement> {
        self.chosen.map(|chosen| chosen.confinement)
    }

    /// Whether a further rung would be taken if it worked.
    fn could_use(&self, rung: Rung) -> bool {
        self.chosen.is_none_or(|chosen| may_beat(rung, chosen.confinement))
    }

    fn add(&mut self, trial: Trial) {
        if let Some(confinement) = trial.confinement.filter(|_| self.could_use(trial.rung)) {
            self.chosen = Some(Chosen {
                position: self.trials.len(),
                confinement,
            });
        }
        self.trials.push(trial);
    }
}

fn candidates(wanted: Option<Rung>) -> impl Iterator<Item = Rung> {
    ORDER
        .into_iter()
        .filter(move |rung| wanted.is_none_or(|wanted| wanted == *rung))
}

/// Whether a rung behind one that works may be better. In a container whose `/proc` is masked only who needs no user
/// namespace can mount a new one, and with it have a pid namespace, from which nothing escapes.
fn may_beat(rung: Rung, found: Confinement) -> bool {
    found.proc == ProcView::Bound && rung == Rung::Direct
}

/// Enters what a trial has opened.
fn follow(trial: &Trial) -> Result<(), Refusal> {
    match &trial.entry {
        Entry::UserNamespace(namespace) => rootless::enter(namespace.as_fd())?,
        Entry::MountNamespace => {}
        Entry::Here => return in_place::settle(trial.rung),
        Entry::Beside => return in_place::close_memory(),
    }
    let entered = nix::sched::unshare(CloneFlags::CLONE_NEWNS).map_err(io::Error::from);
    entered.map_err(Refusal::trial("make a mount namespace"))?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    let made = mount_change("/", private).map_err(io::Error::from);
    made.map_err(Refusal::trial("make mounts private"))
}

/// Puts state where it can be kept.
fn cover(state_root: &Path, confinement: Confinement) -> Result<(), Refusal> {
    match confinement.state {
        StatePlace::Disk => Ok(()),
        StatePlace::Memory => {
            fs::create_dir_all(state_root).map_err(Refusal::trial("create the state directory"))?;
            let covered = overlay::mount_memory(state_root).map_err(io::Error::from);
            covered.map_err(Refusal::trial("keep state in memory"))
        }
    }
}

/// Returns the directory itself or the nearest one above that exists.
pub(crate) fn nearest_existing(path: &Path) -> &Path {
    path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"))
}

#[cfg(test)]
mod tests {
    use super::super::Landlock;
    use super::*;

    #[test]
    fn a_state_directory_to_be_is_tried_where_it_will_be() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(nearest_existing(&dir.path().join("a/b/c")), dir.path());
    }

    #[test]
    fn only_a_masked_proc_makes_croze_do_without_a_user_namespace() {
        let found = |proc| Confinement {
            rung: Rung::Userns,
            stacking: Rung::Userns.stacking(),
            state: StatePlace::Disk,
            proc,
            landlock: Landlock::Scopes,
        };
        assert!(may_beat(Rung::Direct, found(ProcView::Bound)));
        assert!(!may_beat(Rung::Direct, found(ProcView::New)));
        assert!(!may_beat(Rung::Userns, found(ProcView::Bound)));
    }
}
