//! Operations: what a vertex of the graph does, as plain data with every variable expanded.
//!
//! An operation names its inputs by position in its vertex's input list. What of it enters a cache key
//! is decided in one place, `op::key`.

mod chmod;
mod copy;
pub mod key;
mod remote;
mod run;

pub use chmod::{Chmod, ChmodError, SymbolicMode};
pub use copy::{CopyOp, CopySource, InlineFile};
pub use remote::{GitOp, HttpForm, HttpOp};
pub use run::{Mount, MountSource, Network, RunOp, Security};

use registry::oci::{Platform, Reference};

/// What a vertex does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// The root file system of an image. A source: no inputs.
    Image(ImageOp),
    /// A directory of the host: the build context or a named one. A source: no inputs.
    Local(LocalOp),
    /// A file or an archive from a web server. A source: no inputs.
    Http(HttpOp),
    /// A commit of a git repository. A source: no inputs.
    Git(GitOp),
    /// A command in a root file system. Input 0 is that file system, unless [`RunOp::scratch`].
    Run(RunOp),
    /// Files put into a root file system.
    Copy(CopyOp),
    /// A directory made for `WORKDIR`. Input 0 is the file system, if there is one.
    Workdir(WorkdirOp),
    /// The layers of input 1 stacked on those of input 0 (`--link`).
    Merge,
}

/// An image to start from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageOp {
    /// Where it is.
    pub reference: Reference,
    /// Which of its platforms.
    pub platform: Platform,
}

/// A context directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocalOp {
    /// `context`, or the name given with `--build-context`.
    pub name: String,
}

/// `WORKDIR`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkdirOp {
    /// Absolute, clean path.
    pub path: String,
    /// The `USER` in force, who owns a new directory; empty for root.
    pub user: String,
    /// The time of new directories, in seconds since 1970: `SOURCE_DATE_EPOCH`; the present if `None`.
    pub mtime: Option<i64>,
    /// Whether there is no input 0: the directory is made in an empty file system.
    pub scratch: bool,
}
