//! The plans for sandboxes in which nothing can be mounted: the monitor prepares the root file system, and the child does
//! the little that is left.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use snapshotter::Ownership;

use super::{
    CloseOff, ClosedFiles, Plan, Processes, SetupStep, Supervised, environment, etc_files, is_supervised, theirs,
};
use crate::executor::process::{MountSource, Network, Privileges, Process};
use crate::rung::{Confinement, Landlock, Rung};
use crate::supervisor::{Changes, Needs};

/// A tree that a step is given as it is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Occupation {
    /// The tree.
    pub tree: PathBuf,
    /// Where the step finds it.
    pub site: Site,
    /// What is placed over the tree, in order.
    pub placements: Vec<(PathBuf, MountSource)>,
    /// Who holds the owners of files in the tree. If that is not the kernel, croze is a user to whom `/` does not belong,
    /// and what lies there makes room instead.
    pub ownership: Ownership,
}

/// Where a step finds its tree.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Site {
    /// In the place of what lies in `/`, on the file system of which it is.
    Root {
        /// Files and directories that must keep their paths meanwhile.
        in_use: Vec<PathBuf>,
    },
    /// Where it is.
    Tree {
        /// A directory on the same file system for what is covered meanwhile.
        stash: PathBuf,
    },
}

/// A directory that is a step's root.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StepRoot {
    /// The directory.
    pub tree: PathBuf,
    /// A directory for programs of the tree, if the step cannot change its root to it.
    pub programs: Option<PathBuf>,
}

/// Where heredoc scripts lie, and where they do in a container whose `/dev` is not croze's to change.
const SCRIPTS: (&str, &str) = ("/dev/pipes", "/run/pipes");

/// In the directory of croze's own: where programs are made that have no names, so that there is never anything to see.
const PROGRAMS: &str = "programs";

/// Compiles a process for which a tree takes the place of what lies in `/`. `scratch` is a directory of croze's own that
/// stays where it is.
pub(super) fn plan(process: &Process, tree: &Path, scratch: &Path, confinement: Confinement) -> Plan {
    let ownership = confinement.rung.ownership();
    let occupation = |placements| Occupation {
        tree: tree.to_owned(),
        site: Site::Root {
            in_use: vec![scratch.to_owned()],
        },
        placements,
        ownership,
    };
    match ownership {
        Ownership::Real => Plan {
            processes: Processes::Adopted,
            supervised: None,
            occupation: Some(occupation(
                etc_files(process).into_iter().chain(theirs(process)).collect(),
            )),
            steps: steps_of_root(process, confinement),
        },
        Ownership::Emulated => Plan {
            processes: Processes::Adopted,
            supervised: Some(Supervised {
                credentials: process.credentials.clone(),
                special_owners: process.special_owners.clone(),
                changes: Some(Changes::Tree(tree.to_owned())),
                root: None,
            }),
            occupation: Some(occupation(placements_of_a_user(process))),
            steps: steps_of_a_user(process, confinement),
        },
    }
}

fn steps_of_root(process: &Process, confinement: Confinement) -> Vec<SetupStep> {
    let mut steps = beginning(process);
    if process.network == Network::None {
        steps.extend([SetupStep::NoNewPrivileges, SetupStep::NoSockets]);
    }
    steps.push(SetupStep::Credentials(process.credentials.clone(), process.privileges));
    steps.extend(limits(process, confinement));
    steps.push(SetupStep::Exec {
        args: process.args.clone(),
        env: environment(process),
    });
    steps
}

/// Compiles a process that has a tree for its root, where it is. `scratch` is a directory of croze's own on the same file
/// system.
pub(super) fn plan_beside(process: &Process, tree: &Path, scratch: &Path, confinement: Confinement) -> Plan {
    let ownership = confinement.rung.ownership();
    let root = StepRoot {
        tree: tree.to_owned(),
        programs: (confinement.rung == Rung::Ptrace).then(|| scratch.join(PROGRAMS)),
    };
    Plan {
        processes: Processes::Adopted,
        steps: steps_beside(process, &root, confinement),
        supervised: Some(Supervised {
            credentials: process.credentials.clone(),
            special_owners: process.special_owners.clone(),
            changes: Some(Changes::Tree(tree.to_owned())),
            root: Some(root),
        }),
        occupation: Some(Occupation {
            tree: tree.to_owned(),
            site: Site::Tree {
                stash: scratch.to_owned(),
            },
            placements: [shared_memory()]
                .into_iter()
                .chain(etc_files(process))
                .chain(theirs(process))
                .collect(),
            ownership,
        }),
    }
}

fn steps_beside(process: &Process, root: &StepRoot, confinement: Confinement) -> Vec<SetupStep> {
    let changes_root = root.programs.is_none();
    let enter = SetupStep::WorkingDirectory(process.cwd.clone());
    let mut steps = vec![SetupStep::Session];
    if changes_root {
        steps.extend([SetupStep::ChangeRoot(root.tree.clone()), enter.clone()]);
    }
    steps.push(SetupStep::NoNewPrivileges);
    steps.push(SetupStep::CloseOff(CloseOff {
        // There is no network of the step's own in which there would be none.
        sockets: process.network != Network::Host,
        signals: true,
        files: match (confinement.landlock >= Landlock::Files, changes_root) {
            (false, _) => ClosedFiles::None,
            (true, true) => ClosedFiles::Outside,
            (true, false) => ClosedFiles::OutsideOf(root.clone()),
        },
    }));
    steps.extend(filters(process));
    steps.extend(limits(process, confinement));
    if changes_root {
        steps.push(SetupStep::Supervise(Needs::OwnersAndWindows));
    } else {
        // Only the supervisor knows where that is.
        steps.extend([SetupStep::Supervise(Needs::OwnersAndPaths), enter]);
    }
    steps.push(SetupStep::Exec {
        args: process.args.clone(),
        env: environment(process),
    });
    steps
}

/// A user cannot gain any rights, and may therefore close itself off. That also keeps it from croze's memory and files:
/// both have the same user in the kernel's eyes.
fn steps_of_a_user(process: &Process, confinement: Confinement) -> Vec<SetupStep> {
    let mut steps = beginning(process);
    steps.push(SetupStep::NoNewPrivileges);
    steps.push(SetupStep::CloseOff(CloseOff {
        sockets: process.network == Network::Default,
        signals: true,
        files: if confinement.landlock >= Landlock::Files {
            ClosedFiles::OfCroze
        } else {
            ClosedFiles::None
        },
    }));
    steps.extend(filters(process));
    steps.extend(limits(process, confinement));
    steps.push(SetupStep::Supervise(Needs::OwnersAndTop));
    let in_dev = |arg: &String| Path::new(arg).starts_with(SCRIPTS.0);
    let arg = |arg: &String| {
        if in_dev(arg) {
            arg.replacen(SCRIPTS.0, SCRIPTS.1, 1)
        } else {
            arg.clone()
        }
    };
    steps.push(SetupStep::Exec {
        args: process.args.iter().map(arg).collect(),
        env: environment(process),
    });
    steps
}

/// Returns the step that sets the limits that were asked for, if there are any. That on locks, which no kernel since 2.4 looks
/// at, a supervised step has without the kernel: there its supervisor keeps what is written on a process.
pub(super) fn limits(process: &Process, confinement: Confinement) -> Option<SetupStep> {
    let mut limits = process.limits.clone();
    limits.retain(|limit| !(is_supervised(confinement) && limit.is_on_locks()));
    (!limits.is_empty()).then_some(SetupStep::Limits(limits))
}

/// An empty directory, so that a step finds nothing of others and leaves nothing. Its size is the disk's.
fn shared_memory() -> (PathBuf, MountSource) {
    ("/dev/shm".into(), MountSource::Tmpfs { size: None })
}

fn beginning(process: &Process) -> Vec<SetupStep> {
    vec![SetupStep::Session, SetupStep::WorkingDirectory(process.cwd.clone())]
}

/// What refuses system calls to who can gain no rights.
fn filters(process: &Process) -> impl Iterator<Item = SetupStep> {
    let sockets = (process.network == Network::None).then_some(SetupStep::NoSockets);
    let others = (process.privileges == Privileges::Docker).then_some(SetupStep::Seccomp);
    sockets.into_iter().chain(others)
}

/// The container's own name servers and hosts have to do: they are mounts that are root's. But hosts that were asked for
/// must not be left out in silence.
fn placements_of_a_user(process: &Process) -> Vec<(PathBuf, MountSource)> {
    let [_resolv_conf, hosts] = etc_files(process);
    let hosts = (!process.extra_hosts.is_empty()).then_some(hosts);
    let theirs = theirs(process).map(|(target, source)| match target.strip_prefix(SCRIPTS.0) {
        Ok(name) => (Path::new(SCRIPTS.1).join(name), source),
        Err(_) => (target, source),
    });
    hosts.into_iter().chain(theirs).collect()
}
