//! The plans for sandboxes in which nothing can be mounted: the monitor prepares the root file system, and the child does
//! the little that is left.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use snapshotter::Ownership;

use super::{Plan, Processes, SetupStep, Source, Supervised, environment, etc_files, theirs};
use crate::executor::process::{Network, Privileges, Process};

/// A tree that a step is given as it is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Occupation {
    /// The tree.
    pub tree: PathBuf,
    /// Where the step finds it.
    pub site: Site,
    /// What is placed over the tree, in order.
    pub placements: Vec<(PathBuf, Source)>,
    /// Who holds the owners of files in the tree.
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

/// Compiles a process for which a tree takes the place of what lies in `/`. `scratch` is a directory of croze's own that stays where it is.
pub(super) fn plan(process: &Process, tree: &Path, scratch: &Path, ownership: Ownership) -> Plan {
    let mut steps = vec![SetupStep::Session, SetupStep::WorkingDirectory(process.cwd.clone())];
    if process.network == Network::None {
        steps.extend([SetupStep::NoNewPrivileges, SetupStep::NoSockets]);
    }
    steps.push(SetupStep::Credentials(process.credentials.clone(), process.privileges));
    if !process.limits.is_empty() {
        steps.push(SetupStep::Limits(process.limits.clone()));
    }
    steps.push(SetupStep::Exec {
        args: process.args.clone(),
        env: environment(process),
    });
    Plan {
        processes: Processes::Adopted,
        supervised: None,
        occupation: Some(Occupation {
            tree: tree.to_owned(),
            site: Site::Root {
                in_use: vec![scratch.to_owned()],
            },
            placements: etc_files(process).into_iter().chain(theirs(process)).collect(),
            ownership,
        }),
        steps,
    }
}

/// Compiles a process that changes its root to a tree. `scratch` is a directory of croze's own on the same file system.
pub(super) fn plan_chroot(process: &Process, tree: &Path, scratch: &Path, ownership: Ownership) -> Plan {
    let mut steps = vec![
        SetupStep::Session,
        SetupStep::ChangeRoot(tree.to_owned()),
        SetupStep::WorkingDirectory(process.cwd.clone()),
        SetupStep::NoNewPrivileges,
        SetupStep::CloseOff {
            // There is no network of the step's own in which there would be none.
            sockets: process.network != Network::Host,
            signals: true,
            files: true,
        },
    ];
    if process.network == Network::None {
        steps.push(SetupStep::NoSockets);
    }
    if process.privileges == Privileges::Docker {
        steps.push(SetupStep::Seccomp);
    }
    if !process.limits.is_empty() {
        steps.push(SetupStep::Limits(process.limits.clone()));
    }
    steps.push(SetupStep::Supervise);
    steps.push(SetupStep::Exec {
        args: process.args.clone(),
        env: environment(process),
    });
    Plan {
        processes: Processes::Adopted,
        supervised: Some(Supervised {
            credentials: process.credentials.clone(),
            special_owners: process.special_owners.clone(),
            upper: Some(tree.to_owned()),
            root: Some(tree.to_owned()),
        }),
        occupation: Some(Occupation {
            tree: tree.to_owned(),
            site: Site::Tree {
                stash: scratch.to_owned(),
            },
            placements: etc_files(process).into_iter().chain(theirs(process)).collect(),
            ownership,
        }),
        steps,
    }
}
