//! What is to be run, as plain data: a [`Process`] can be compared, printed and sent to another process.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
pub use snapshotter::Tree;

use super::limits::ResourceLimit;

/// One program to run in one root file system.
///
/// All paths inside the step are absolute and are resolved within its root: a symbolic link of the image never
/// leads out of it. All paths of the host are trusted; they come from croze's own store.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Process {
    /// The program and its arguments; at least one. A name without a slash is looked up in the `PATH` of `env`.
    pub args: Vec<String>,
    /// The whole environment; nothing of croze's own is added except a `PATH` where there is none.
    pub env: Vec<(String, String)>,
    /// Working directory; it must exist and may not lie in `/proc`.
    pub cwd: PathBuf,
    /// Whom it runs as.
    pub credentials: Credentials,
    /// What it may do besides.
    pub privileges: Privileges,
    /// Root file system. With an upper directory the step's changes are left there, and nothing else is.
    pub rootfs: Tree,
    /// What is mounted over the root file system, in order.
    pub mounts: Vec<Mount>,
    /// Which network it sees.
    pub network: Network,
    /// Host name inside, also written to `/etc/hosts`. `/etc/hostname` is the image's, as with BuildKit: a step may
    /// write it, and what it writes stays.
    pub hostname: String,
    /// Further lines of `/etc/hosts`: address and name.
    pub extra_hosts: Vec<(String, String)>,
    /// Content of `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: u64,
    /// Resource limits, in order; those of croze itself hold for everything else, but without core dumps.
    pub limits: Vec<ResourceLimit>,
}

/// Size of `/dev/shm` unless the user asks for another, in bytes; Docker's.
pub const DEFAULT_SHM_SIZE: u64 = 64 << 20;

/// The numbers a process runs under.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Credentials {
    /// User.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// What a process may do beyond what a program needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Privileges {
    /// What Docker lets a container do: its capabilities, its seccomp profile, its masks over `/proc` and `/sys`.
    #[default]
    Docker,
    /// All that croze itself may, with no system call refused and nothing hidden.
    All,
}

/// The network of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Network {
    /// The network that croze itself has, without the abstract Unix sockets of others where Landlock can hide them.
    Default,
    /// An own network with nothing but loopback.
    None,
    /// The network that croze itself has, all of it.
    Host,
}

/// Something mounted over the root file system.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Mount {
    /// Where; made if missing, for the time of the step only.
    pub target: PathBuf,
    /// What.
    pub source: MountSource,
}

/// What a mount shows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum MountSource {
    /// A file or directory of another tree: a context, a stage, a cache.
    Bind {
        /// The tree. A directory is written through when the mount is writable; for writes that are to be thrown away
        /// it is an overlay with a scratch upper directory, or a copy.
        tree: Tree,
        /// Path in the tree, resolved within it; `/` for all of it.
        path: PathBuf,
        /// Whether the step may write.
        writable: bool,
    },
    /// Memory.
    Tmpfs {
        /// Bytes at most; `None` for the kernel's default, half of the memory.
        size: Option<u64>,
    },
    /// A file that exists in memory only: a secret or a heredoc script.
    File {
        /// Its bytes.
        content: Content,
        /// Its permissions.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// Something of the host, with the owner and mode it has there: a Unix socket, a device, a file or a directory.
    Host {
        /// Where it is on the host.
        path: PathBuf,
        /// What the step may not do with it.
        restrictions: Vec<Restriction>,
    },
}

/// Something that a mount does not allow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Restriction {
    /// To write.
    Write,
    /// To gain rights by running a program.
    SetId,
    /// To use device nodes.
    Devices,
    /// To run programs.
    Execute,
}

/// Bytes that may be secret: printed as their number.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content(pub Vec<u8>);

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}
