//! What a build needs of this machine: what is there, what is missing, and what to do about it.
//!
//! Nothing is concluded from versions or settings: the rungs are tried by the same functions that a build uses. The
//! result is plain data; the command line renders it.

mod landlock;

use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use rustix::fs::statvfs;
use serde::{Deserialize, Serialize};

use crate::rootless::Remedy;
use crate::rung::{self, Confinement, Outcome, Rung, Survey, Trial, Weakness};
use crate::state_dir::FileSystem;

/// Free space below which most builds will fail, in bytes.
const LITTLE_SPACE: u64 = 1 << 30;

/// What this machine has for a build.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Examination {
    /// What confines a `RUN` here; `None` if nothing can.
    #[serde(flatten)]
    pub confinement: Option<Confinement>,
    /// Every rung that was tried, the strongest first.
    pub rungs: Vec<ExaminedRung>,
    /// What a build needs or uses beside a rung.
    pub needs: Vec<Need>,
}

/// A rung and what it needs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ExaminedRung {
    /// Which rung.
    pub rung: Rung,
    /// Whether it works here.
    pub works: bool,
    /// What it needs.
    pub needs: Vec<Need>,
    /// What a step can do in it as it works here, and could not in a full user namespace.
    pub weaknesses: Vec<Weakness>,
}

/// Something that a build or a rung needs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Need {
    /// A few words for it.
    pub name: &'static str,
    /// What lacks without it.
    pub importance: Importance,
    /// Whether it is there.
    #[serde(flatten)]
    pub status: Status,
}

/// What lacks when a need is not met.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Importance {
    /// The rung, or without any rung every `RUN`.
    Required,
    /// What the need stands for, and no more.
    Useful,
}

/// Whether a need is met.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Status {
    /// It is.
    Has {
        /// What was found.
        detail: String,
    },
    /// It is not.
    Misses {
        /// Why.
        cause: String,
        /// What to do, each by itself.
        fixes: Vec<Remedy>,
    },
    /// It could not be tried, because something else is missing.
    Untried,
}

impl Status {
    fn has(detail: impl Into<String>) -> Self {
        Self::Has { detail: detail.into() }
    }

    fn misses(cause: impl Into<String>, fix: &str) -> Self {
        Self::Misses {
            cause: cause.into(),
            fixes: vec![Remedy::host(fix)],
        }
    }

    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Has(detail) => Self::has(detail),
            Outcome::Misses(refusal) => Self::Misses {
                cause: chain(refusal),
                fixes: refusal.remedies(),
            },
            Outcome::Untried => Self::Untried,
        }
    }
}

impl Examination {
    /// Returns whether a `RUN` can be run here.
    pub fn can_run(&self) -> bool {
        let is_missing =
            |need: &Need| need.importance == Importance::Required && !matches!(need.status, Status::Has { .. });
        self.confinement.is_some() && !self.needs.iter().any(is_missing)
    }
}

/// Examines this machine for a rung, or for all of them. `state_root` is where state would be kept, `search_path` the
/// value of `PATH`.
///
/// Must be called before there are threads.
pub fn examine(wanted: Option<Rung>, state_root: &Path, search_path: &OsStr) -> Examination {
    examined(&rung::survey(wanted, state_root), state_root, search_path)
}

fn examined(survey: &Survey, state_root: &Path, search_path: &OsStr) -> Examination {
    use Importance::{Required, Useful};
    let need = |name, importance, status| Need {
        name,
        importance,
        status,
    };
    Examination {
        confinement: survey.confinement(),
        rungs: survey.trials.iter().map(examined_rung).collect(),
        needs: vec![
            need("seccomp", Required, seccomp()),
            need("landlock", Useful, landlock::examine()),
            need("control groups", Useful, control_groups()),
            need("git", Useful, git(search_path)),
            need(
                "state directory",
                Useful,
                state_directory(rung::nearest_existing(state_root)),
            ),
            need("disk space", Useful, disk_space(rung::nearest_existing(state_root))),
        ],
    }
}

fn examined_rung(trial: &Trial) -> ExaminedRung {
    let needs = trial.checks.iter().map(|check| Need {
        name: check.need,
        importance: if check.is_required {
            Importance::Required
        } else {
            Importance::Useful
        },
        status: Status::of(&check.outcome),
    });
    ExaminedRung {
        rung: trial.rung,
        works: trial.confinement.is_some(),
        needs: needs.collect(),
        weaknesses: match trial.confinement {
            Some(confinement) => confinement.weaknesses(),
            None => trial.rung.weaknesses().to_vec(),
        },
    }
}

fn seccomp() -> Status {
    match fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail") {
        Ok(actions) if actions.contains("errno") => Status::has("filters"),
        _ => Status::misses(
            "this kernel has no seccomp filters",
            "a kernel built with `CONFIG_SECCOMP_FILTER=y`",
        ),
    }
}

fn control_groups() -> Status {
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        return Status::has("version 2");
    }
    let cause = if Path::new("/sys/fs/cgroup/memory").exists() {
        "version 1"
    } else {
        "none"
    };
    Status::misses(
        format!("control groups: {cause}; limits and their causes cannot be told"),
        "boot with `systemd.unified_cgroup_hierarchy=1`",
    )
}

fn git(search_path: &OsStr) -> Status {
    let found = std::env::split_paths(search_path)
        .map(|dir| dir.join("git"))
        .find(|path| path.is_file());
    match found {
        Some(path) => Status::has(path.display().to_string()),
        None => Status::misses(
            "`git` is not installed; git contexts cannot be fetched",
            "`sudo apt-get install git`",
        ),
    }
}

/// Says what a store gives up where its directory is.
fn state_directory(state_root: &Path) -> Status {
    let place = state_root.display();
    match FileSystem::of(state_root) {
        Ok(FileSystem::Local) => Status::has(format!("`{place}` is on a disk of this machine")),
        Ok(kind) => Status::misses(
            format!("`{place}` is {}", given_up(kind)),
            "`CROZE_ROOT` on a local disk or volume",
        ),
        Err(error) => Status::Misses {
            cause: format!("cannot examine `{place}`: {error}"),
            fixes: Vec::new(),
        },
    }
}

/// Returns what a kind of file system is, and what it takes from a store.
fn given_up(kind: FileSystem) -> &'static str {
    match kind {
        FileSystem::Local => "on a disk of this machine",
        FileSystem::Memory => {
            "in memory: what is in it counts as memory, and is gone with the machine or the pod unless `--cache-to` \
             brings it elsewhere"
        }
        FileSystem::Overlay => {
            "on an overlay, as a container's own files are: steps that are confined by mounts work in memory instead, and \
             the store is gone with the container"
        }
        FileSystem::Shared => {
            "on a file system that other machines may use: things are removed from it only while no build runs, what \
             another machine has not synced is made again, and it must honour `flock` between machines"
        }
    }
}

fn disk_space(state_root: &Path) -> Status {
    let free = match statvfs(state_root) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(error) => {
            return Status::Misses {
                cause: format!("cannot examine `{}`: {error}", state_root.display()),
                fixes: Vec::new(),
            };
        }
    };
    let detail = format!("{} MiB free in `{}`", free >> 20, state_root.display());
    if free < LITTLE_SPACE {
        return Status::misses(detail, "`croze prune`, or `CROZE_ROOT` on a larger disk");
    }
    Status::has(detail)
}

/// Returns an error's text with that of its causes.
pub fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(importance: Importance, status: Status) -> Need {
        Need {
            name: "x",
            importance,
            status,
        }
    }

    fn missing() -> Status {
        Status::misses("gone", "get it")
    }

    #[test]
    fn only_what_is_required_keeps_a_step_from_running() {
        let examination = |confinement, needs: &[Need]| Examination {
            confinement,
            rungs: Vec::new(),
            needs: needs.to_vec(),
        };
        let confinement = Some(Confinement {
            rung: Rung::Userns,
            stacking: Rung::Userns.stacking(),
            state: rung::StatePlace::Disk,
            proc: rung::ProcView::New,
            landlock: rung::Landlock::Scopes,
        });
        let useful = need(Importance::Useful, missing());
        let required = need(Importance::Required, missing());
        assert!(examination(confinement, std::slice::from_ref(&useful)).can_run());
        assert!(!examination(confinement, &[useful, required]).can_run());
        assert!(!examination(None, &[]).can_run());
    }

    #[test]
    fn every_file_system_but_a_local_one_costs_something() {
        for kind in [FileSystem::Memory, FileSystem::Overlay, FileSystem::Shared] {
            assert!(given_up(kind).contains(": "), "{kind:?}");
        }
        let Status::Misses { cause, fixes } = state_directory(Path::new("/dev/shm")) else {
            panic!("memory is no disk");
        };
        assert!(
            cause.starts_with("`/dev/shm` is in memory") && fixes.len() == 1,
            "{cause}"
        );
        assert!(matches!(
            state_directory(Path::new("/nonexistent")),
            Status::Misses { .. }
        ));
    }

    #[test]
    fn a_need_is_one_flat_json_object() {
        let json = serde_json::to_string(&need(Importance::Useful, missing())).unwrap();
        assert_eq!(
            json,
            r#"{"name":"x","importance":"useful","status":"misses","cause":"gone","fixes":[{"where":"host","do":"get it"}]}"#
        );
    }
}
