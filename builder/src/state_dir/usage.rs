//! What is kept, by class, and how much of the disk it takes.

use std::collections::BTreeMap;

use snapshotter::{Root, Usage, measure};

use super::{StateDir, StateDirError};

/// A class of content; each has a directory of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    /// Records of the cache: which result a step had.
    Records,
    /// Which blob holds which snapshot.
    Layers,
    /// What the digest of an index means for a platform.
    Images,
    /// Digests of files in build contexts.
    Contexts,
    /// Validators of web files, and the objects of git repositories.
    Remotes,
    /// Unpacked layers and results of steps.
    Snapshots,
    /// Names of images.
    Tags,
    /// Manifests, configs and compressed layers.
    Blobs,
    /// What `RUN --mount=type=cache` keeps.
    Mounts,
    /// Logs of builds.
    Logs,
    /// Boots, and which builds of them are on the disk for certain.
    Epochs,
    /// What running processes work on.
    Scratch,
}

/// Disk usage by class.
pub type UsageByClass = BTreeMap<Class, Usage>;

impl Class {
    /// Every class, in the order in which content may be removed: what names comes before what is named.
    pub const ALL: [Self; 12] = [
        Self::Records,
        Self::Layers,
        Self::Images,
        Self::Contexts,
        Self::Remotes,
        Self::Snapshots,
        Self::Tags,
        Self::Blobs,
        Self::Mounts,
        Self::Logs,
        Self::Epochs,
        Self::Scratch,
    ];

    /// Returns the name of the class's directory.
    pub fn directory(self) -> &'static str {
        match self {
            Self::Records => "index",
            Self::Layers => "layers",
            Self::Images => "images",
            Self::Contexts => "contexts",
            Self::Remotes => "remotes",
            Self::Snapshots => "snap",
            Self::Tags => "tags",
            Self::Blobs => "blobs",
            Self::Mounts => "mounts",
            Self::Logs => "log",
            Self::Epochs => "epochs",
            Self::Scratch => "run",
        }
    }
}

impl StateDir {
    /// Returns what each class takes on disk; builds may go on meanwhile.
    pub fn usage(&self) -> Result<UsageByClass, StateDirError> {
        let classes = Class::ALL.into_iter();
        classes.map(|class| Ok((class, self.usage_of(class)?))).collect()
    }

    /// Returns what one class takes on disk.
    pub fn usage_of(&self, class: Class) -> Result<Usage, StateDirError> {
        let dir = Root::open(&self.path(class))?.open_dir("".as_ref())?;
        Ok(measure(dir)?)
    }
}
