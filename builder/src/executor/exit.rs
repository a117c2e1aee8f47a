//! How a step ended, and how a running one is asked to end.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use snapshotter::SpecialOwners;

/// How a step ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Exit {
    /// It returned this code; 0 is success.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

impl Exit {
    /// Whether it ended well.
    pub fn is_success(self) -> bool {
        self == Exit::Code(0)
    }

    /// Returns the exit code as a shell reports it: 128 + signal for a killed step.
    pub fn shell_code(self) -> i32 {
        match self {
            Exit::Code(code) => code,
            Exit::Signal(signal) => 128 + signal,
        }
    }
}

/// What a step that has run leaves behind.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Ended {
    /// How its program ended.
    pub exit: Exit,
    /// The owners of the links and special files that it made or changed, where the kernel does not hold them.
    pub special_owners: SpecialOwners,
    /// Names in its root file system, without a leading slash, that croze has moved away and back, and to which nothing
    /// else was done.
    pub only_moved: Vec<PathBuf>,
    /// The first path that it could not make, because it is in a `/` that nobody but root can change.
    pub without_place: Option<PathBuf>,
}

/// What the owner of a running step wants of it; only ever rises.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Stop {
    /// Go on.
    #[default]
    No,
    /// End it: SIGTERM, and SIGKILL after [`GRACE`].
    Gently,
    /// SIGKILL at once.
    Now,
}

/// How long a step may take to end after SIGTERM.
pub const GRACE: std::time::Duration = std::time::Duration::from_secs(10);
