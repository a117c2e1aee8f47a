//! `RUN`: a command, its surroundings and its mounts.

use crate::dockerfile::Sharing;

/// A command to run in a root file system.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunOp {
    /// Whether there is no input 0: the command runs in an empty file system.
    pub scratch: bool,
    /// Program and arguments.
    pub args: Vec<String>,
    /// Environment, in order of definition.
    pub env: Vec<(String, String)>,
    /// Proxy variables: in the environment, never in a key.
    pub proxy_env: Vec<(String, String)>,
    /// Working directory, absolute.
    pub cwd: String,
    /// `USER` as in the Dockerfile; empty for root.
    pub user: String,
    /// Mounts in order.
    pub mounts: Vec<Mount>,
    /// A heredoc script, mounted at `/dev/pipes/<name>` and run by its own interpreter.
    pub script: Option<(String, String)>,
    /// Devices of the machine, by their qualified CDI names.
    pub devices: Vec<String>,
    /// `--security`.
    pub security: Security,
    /// `--network`.
    pub network: Network,
    /// Host name inside.
    pub hostname: String,
    /// `--add-host`: address and name, never in a key.
    pub extra_hosts: Vec<(String, String)>,
    /// Whether the cache must not be asked: `--no-cache`.
    pub no_cache: bool,
}

/// What a step may do beyond what a program needs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Security {
    /// Nothing: Docker's capabilities and seccomp profile.
    #[default]
    Sandbox,
    /// All that croze may, behind `--allow security.insecure`.
    Insecure,
}

/// The network of a step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Network {
    /// The network that croze itself has.
    #[default]
    Default,
    /// Loopback only.
    None,
    /// The host's, behind `--allow network.host`.
    Host,
}

/// One `--mount` of a `RUN`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mount {
    /// Absolute path in the step; for a secret that is only a variable, empty.
    pub target: String,
    /// What is mounted.
    pub source: MountSource,
}

/// What a mount shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MountSource {
    /// Files of an input.
    Bind {
        /// Index into the vertex's inputs; `None` is an empty file system.
        input: Option<usize>,
        /// Path in the input, absolute.
        path: String,
        /// Whether the step may write; what it writes is thrown away.
        writable: bool,
    },
    /// A directory that outlives the build.
    Cache {
        /// Identity, with `BUILDKIT_CACHE_MOUNT_NS` applied.
        id: String,
        /// How builds share it.
        sharing: Sharing,
        /// Index of the input that fills a new cache.
        input: Option<usize>,
        /// Path in that input, or in the empty cache.
        path: String,
        /// Whether the step may only read.
        readonly: bool,
        /// Mode of a new cache's top directory.
        mode: u32,
        /// Owner of a new cache's top directory.
        uid: u32,
        /// Group of a new cache's top directory.
        gid: u32,
    },
    /// Memory.
    Tmpfs {
        /// Bytes at most; `None` for the kernel's default.
        size: Option<u64>,
    },
    /// A secret as a file, a variable or both.
    Secret {
        /// Identity on the command line.
        id: String,
        /// Whether its absence is an error.
        required: bool,
        /// Mode of the file.
        mode: u32,
        /// Owner of the file.
        uid: u32,
        /// Group of the file.
        gid: u32,
        /// Variable that holds it.
        env: Option<String>,
    },
    /// An SSH agent's socket.
    Ssh {
        /// Identity on the command line.
        id: String,
        /// Whether its absence is an error.
        required: bool,
        /// Mode of the socket.
        mode: u32,
        /// Owner of the socket.
        uid: u32,
        /// Group of the socket.
        gid: u32,
    },
}
