//! The plan for a sandbox in which nothing can be mounted: the monitor puts the root file system in place of the
//! container's own, and the child does the little that is left.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use snapshotter::Ownership;

use super::{Plan, Processes, SetupStep, Source, environment, etc_files, theirs};
use crate::executor::process::{Network, Process};

/// A tree that takes the place of what lies in `/`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Occupation {
    /// The tree, on the file system of `/`.
    pub tree: PathBuf,
    /// Files and directories that must keep their paths meanwhile.
    pub in_use: Vec<PathBuf>,
    /// What is placed over the tree, in order.
    pub placements: Vec<(PathBuf, Source)>,
    /// Who holds the owners of files in the tree.
    pub ownership: Ownership,
}

/// Compiles a process. `scratch` is a directory of croze's own that stays where it is.
pub(super) fn plan(process: &Process, tree: &Path, scratch: &Path, ownership: Ownership) -> Plan {
    let mut steps = vec![SetupStep::Session, SetupStep::WorkingDirectory(process.cwd.clone())];
    if process.network == Network::None {
        steps.push(SetupStep::NoSockets);
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
            in_use: vec![scratch.to_owned()],
            placements: etc_files(process).into_iter().chain(theirs(process)).collect(),
            ownership,
        }),
        steps,
    }
}
