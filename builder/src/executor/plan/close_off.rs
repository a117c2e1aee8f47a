//! What a step is closed off from that it shares with others.

use serde::{Deserialize, Serialize};

use super::StepRoot;

/// What a step is closed off from.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CloseOff {
    /// The abstract Unix sockets of processes outside of it.
    pub sockets: bool,
    /// Sending signals to processes outside of it.
    pub signals: bool,
    /// To be asked for only of a kernel that can.
    pub files: ClosedFiles,
}

/// Which files a step is closed off from.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum ClosedFiles {
    /// None.
    #[default]
    None,
    /// Those in croze's own directory, in a `/` that they share.
    OfCroze,
    /// All that are not below its root.
    Outside,
    /// The same for a step that has not changed its root: all that are not below this one's, but for programs.
    OutsideOf(StepRoot),
}
