//! What a build needs of this machine: what is there, what is missing, and what to do about it.
//!
//! Nothing is concluded from versions or settings: a probe does the thing itself, in a copy of the process, by the
//! same functions that a build uses. The result is plain data; the command line renders it.

mod probe;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;
use serde::{Deserialize, Serialize};

use crate::rootless::{Caller, EnterError, find_helper, id_map};
use probe::Probed;

/// Free space below which most builds will fail, in bytes.
const LITTLE_SPACE: u64 = 1 << 30;

/// Something a build needs.
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
    /// No `RUN` can be run.
    Required,
    /// Builds work, without what the need stands for.
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
        /// What to do.
        fix: Option<String>,
    },
}

impl Status {
    fn has(detail: impl Into<String>) -> Self {
        Self::Has { detail: detail.into() }
    }

    fn misses(cause: impl Into<String>, fix: &str) -> Self {
        Self::Misses {
            cause: cause.into(),
            fix: Some(fix.into()),
        }
    }

    fn from_enter_error(error: &EnterError) -> Self {
        Self::Misses {
            cause: probe::chain(error),
            fix: error.remedy(),
        }
    }
}

/// Whether everything is there without which no `RUN` can be run.
pub fn can_run(needs: &[Need]) -> bool {
    let missing = |need: &Need| need.importance == Importance::Required && matches!(need.status, Status::Misses { .. });
    !needs.iter().any(missing)
}

/// Examines this machine. `state_root` is where state would be kept, `search_path` the value of `PATH`.
///
/// Must be called before there are threads.
pub fn examine(state_root: &Path, search_path: &OsStr) -> Vec<Need> {
    let state_root = nearest_existing(state_root);
    let planned = Caller::read().and_then(|caller| Ok((id_map::plan(&caller)?, caller)));
    let probed = match &planned {
        Ok((map, _)) => probe::probe(map, state_root),
        Err(error) => Probed::not_entered(Status::from_enter_error(error)),
    };
    let need = |name, importance, status| Need {
        name,
        importance,
        status,
    };
    use Importance::{Required, Useful};
    vec![
        need("user namespace", Required, probed.namespace),
        need("subordinate ids", Required, subordinate_ids(&planned)),
        need("newuidmap", Required, helpers(&planned)),
        need("overlay on the state directory", Required, probed.overlay),
        need("new /proc", Required, probed.proc),
        need("seccomp", Required, seccomp()),
        need("landlock", Useful, probed.landlock),
        need("control groups", Useful, control_groups()),
        need("git", Useful, git(search_path)),
        need("disk space", Useful, disk_space(state_root)),
    ]
}

type Planned = Result<(id_map::IdMap, Caller), EnterError>;

fn subordinate_ids(planned: &Planned) -> Status {
    match planned {
        Ok((map, _)) => Status::has(format!("{} users", map.user_count())),
        Err(error) => Status::from_enter_error(error),
    }
}

fn helpers(planned: &Planned) -> Status {
    if let Ok((map, _)) = planned
        && map.writer == id_map::Writer::Direct
    {
        return Status::has("not needed: this user may write id maps");
    }
    for name in ["newuidmap", "newgidmap"] {
        if find_helper(name).is_none() {
            return Status::from_enter_error(&EnterError::NoHelper { name: name.into() });
        }
    }
    Status::has(find_helper("newuidmap").unwrap_or_default().display().to_string())
}

fn seccomp() -> Status {
    match fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail") {
        Ok(actions) if actions.contains("errno") => Status::has("filters"),
        _ => Status::misses(
            "this kernel has no seccomp filters",
            "use a kernel built with `CONFIG_SECCOMP_FILTER=y`",
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
            "run `sudo apt-get install git`",
        ),
    }
}

fn disk_space(state_root: &Path) -> Status {
    let free = match statvfs(state_root) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(error) => {
            return Status::Misses {
                cause: format!("cannot examine `{}`: {error}", state_root.display()),
                fix: None,
            };
        }
    };
    let detail = format!("{} MiB free in `{}`", free >> 20, state_root.display());
    if free < LITTLE_SPACE {
        return Status::misses(
            detail,
            "run `croze prune`, or set `CROZE_ROOT` to a directory on a larger disk",
        );
    }
    Status::has(detail)
}

/// Returns the directory itself or the nearest one above that exists.
fn nearest_existing(path: &Path) -> &Path {
    path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"))
}

/// Where a probe keeps its files.
fn probe_dir(state_root: &Path) -> PathBuf {
    state_root.join(format!(".croze-doctor-{}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_directory_to_be_is_examined_where_it_will_be() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(nearest_existing(&dir.path().join("a/b/c")), dir.path());
    }

    #[test]
    fn only_what_is_required_keeps_a_step_from_running() {
        let need = |importance, status| Need {
            name: "x",
            importance,
            status,
        };
        let missing = || Status::misses("gone", "get it");
        assert!(can_run(&[
            need(Importance::Useful, missing()),
            need(Importance::Required, Status::has("x"))
        ]));
        assert!(!can_run(&[need(Importance::Required, missing())]));
    }

    #[test]
    fn a_need_is_one_flat_json_object() {
        let need = Need {
            name: "git",
            importance: Importance::Useful,
            status: Status::misses("gone", "get it"),
        };
        let json = serde_json::to_string(&need).unwrap();
        assert_eq!(
            json,
            r#"{"name":"git","importance":"useful","status":"misses","cause":"gone","fix":"get it"}"#
        );
    }
}
