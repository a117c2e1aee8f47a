//! From a [`Process`] and a [`Confinement`] to the steps that set it up: pure, printable, and the same on every machine.
//!
//! What is a decision is made here; what is a system call happens in `init`. The order is part of the security:
//!
//! - the host's devices are opened before any path of the image is touched;
//! - `/proc` is mounted before the old root goes: once no procfs is visible, the kernel allows no new one;
//! - mounts are opened before the root, because a mount point has to be made as what it will be covered with;
//! - the seccomp filter goes in while there still is the capability that installing it takes;
//! - credentials come last, directly before the program.

mod close_off;
mod occupation;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use snapshotter::{Ownership, SpecialOwners};

use super::limits::ResourceLimit;
use super::process::{Content, Credentials, MountSource, Network, Privileges, Process, Tree};
use crate::rung::{Confinement, ProcView, Rung};
use crate::supervisor::{Changes, Needs};
pub(super) use close_off::{CloseOff, ClosedFiles};
pub use occupation::{Occupation, Site, StepRoot};

/// `PATH` of a process that has none; Docker's.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Number of a mount that a plan has opened, in order.
pub type MountIndex = usize;

/// All that a monitor is told.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// What ends everything that the step has started.
    pub processes: Processes,
    /// What the supervisor is told, if the step has one.
    pub supervised: Option<Supervised>,
    /// The root file system that the monitor prepares before it forks the child, where nothing can be mounted.
    pub occupation: Option<Occupation>,
    /// The way from a bare child process to the program.
    pub steps: Vec<SetupStep>,
}

/// What ends everything that a step has started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Processes {
    /// The kernel, with the step's own pid namespace.
    PidNamespace,
    /// The monitor, which adopts and kills what the step leaves behind.
    Adopted,
}

/// What a supervisor has to know of its step.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Supervised {
    /// Whom the program takes itself for.
    pub credentials: Credentials,
    /// Owners that the disk cannot tell.
    pub special_owners: SpecialOwners,
    /// Where the step's changes are.
    pub changes: Option<Changes>,
    /// The step's root, if that is not the one of its mount namespace.
    pub root: Option<StepRoot>,
}

/// One step of the way from a bare child process to the program.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum SetupStep {
    /// Enter a mount, an IPC and a UTS namespace, and a network namespace if asked for.
    Namespaces {
        /// Whether the network is an own one, with loopback.
        network: bool,
    },
    /// Open the devices of the host that a step may use.
    OpenDevices,
    /// Mount a tmpfs of croze's own, seen by the step only through what is mounted from it.
    Scratch {
        /// An empty directory of the host.
        at: PathBuf,
    },
    /// Open a mount without attaching it anywhere; the first is number 0.
    Open(Source),
    /// Mount the root file system, with a mount point for each of these mounts.
    Root {
        /// The file system.
        tree: Tree,
        /// Where the mounts will be attached, in order.
        targets: Vec<(MountIndex, PathBuf)>,
    },
    /// Attach a mount.
    Attach {
        /// Which.
        mount: MountIndex,
        /// Where in the root file system.
        target: PathBuf,
    },
    /// Fill `/dev`.
    Devices {
        /// The mount attached there.
        dev: MountIndex,
        /// Size of `/dev/shm` in bytes.
        shm_size: u64,
    },
    /// Hide or protect the parts of `/proc` and `/sys` that Docker does.
    Mask {
        /// The mount of procfs.
        proc: MountIndex,
        /// The mount of sysfs.
        sys: MountIndex,
    },
    /// Make the root file system the root, and the old root unreachable.
    Pivot,
    /// Change the root to a directory of the host.
    ChangeRoot(PathBuf),
    /// Name the UTS namespace.
    Hostname(String),
    /// Leave the session, take `/dev/null` for standard input, set the umask and sane limits.
    Session,
    /// Go to the working directory.
    WorkingDirectory(PathBuf),
    /// Close the step off from what it shares with others, where the kernel can.
    CloseOff(CloseOff),
    /// Give up gaining rights by running programs, which lets anybody install filters.
    NoNewPrivileges,
    /// Have every socket refused that leads out of this machine.
    NoSockets,
    /// Install Docker's seccomp profile.
    Seccomp,
    /// Take on the credentials and capabilities.
    Credentials(Credentials, Privileges),
    /// Set resource limits.
    Limits(Vec<ResourceLimit>),
    /// Take on Docker's capabilities as far as they are there, and have a supervisor show the credentials.
    Supervise(Needs),
    /// Become the program.
    Exec {
        /// Program and arguments.
        args: Vec<String>,
        /// The whole environment.
        env: Vec<(String, String)>,
    },
}

/// Where a mount comes from.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Source {
    /// A procfs: a new one for an own pid namespace, else croze's.
    Proc {
        /// Whether it is a new one.
        new: bool,
    },
    /// A read-only sysfs: a new one for an own network, else the host's.
    Sys {
        /// Whether it is a new one.
        new: bool,
    },
    /// An empty tmpfs for `/dev`.
    Dev,
    /// What the process asks for, or finds in `/etc`.
    Asked(MountSource),
}

/// Compiles a process to steps. `scratch` is an empty directory of the host to mount on.
///
/// A root file system that is a directory is used as it is; scratch then stays where it is.
pub fn plan(process: &Process, scratch: &Path, confinement: Confinement) -> Plan {
    match &process.rootfs {
        Tree::Directory(tree) if confinement.rung.is_in_place() => {
            return occupation::plan(process, tree, scratch, confinement);
        }
        Tree::Directory(tree) if matches!(confinement.rung, Rung::Chroot | Rung::Ptrace) => {
            return occupation::plan_beside(process, tree, scratch, confinement);
        }
        Tree::Directory(_) | Tree::Overlay(_) => {}
    }
    let own_processes = confinement.proc == ProcView::New;
    Plan {
        processes: if own_processes {
            Processes::PidNamespace
        } else {
            Processes::Adopted
        },
        supervised: is_supervised(confinement).then(|| Supervised {
            credentials: process.credentials.clone(),
            special_owners: process.special_owners.clone(),
            changes: upper(&process.rootfs).map(Changes::Upper),
            root: None,
        }),
        occupation: None,
        steps: steps(process, scratch, confinement),
    }
}

/// Returns where the changes of a step go, apart from the tree that it sees.
fn upper(rootfs: &Tree) -> Option<PathBuf> {
    match rootfs {
        Tree::Overlay(overlay) => overlay.upper.as_ref().map(|upper| upper.dir.clone()),
        Tree::Directory(_) => None,
    }
}

/// Whether the kernel cannot give the step's processes and files their owners.
fn is_supervised(confinement: Confinement) -> bool {
    confinement.rung.ownership() == Ownership::Emulated
}

fn steps(process: &Process, scratch: &Path, confinement: Confinement) -> Vec<SetupStep> {
    let own_processes = confinement.proc == ProcView::New;
    let own_network = process.network == Network::None;
    let mounts = mounts(process, own_processes, own_network);
    let targets: Vec<_> = mounts.iter().map(|(target, _)| target.clone()).enumerate().collect();

    let mut steps = vec![
        SetupStep::Namespaces { network: own_network },
        SetupStep::OpenDevices,
        SetupStep::Scratch { at: scratch.to_owned() },
    ];
    steps.extend(mounts.into_iter().map(|(_, source)| SetupStep::Open(source)));
    steps.push(SetupStep::Root {
        tree: process.rootfs.clone(),
        targets: targets.clone(),
    });
    for (mount, target) in targets {
        steps.push(SetupStep::Attach { mount, target });
        match mount {
            SYS if process.privileges == Privileges::Docker => {
                steps.push(SetupStep::Mask { proc: PROC, sys: SYS });
            }
            DEV => steps.push(SetupStep::Devices {
                dev: DEV,
                shm_size: process.shm_size,
            }),
            _ => {}
        }
    }
    steps.push(SetupStep::Pivot);
    steps.push(SetupStep::Hostname(process.hostname.clone()));
    steps.push(SetupStep::Session);
    steps.push(SetupStep::WorkingDirectory(process.cwd.clone()));
    let close_off = CloseOff {
        sockets: process.network == Network::Default,
        signals: !own_processes,
        files: ClosedFiles::None,
    };
    if close_off != CloseOff::default() {
        steps.push(SetupStep::CloseOff(close_off));
    }
    if process.privileges == Privileges::Docker {
        steps.push(SetupStep::Seccomp);
    }
    let limits = occupation::limits(process, confinement);
    // Limits late, so that they hold for the program and not for what sets it up; but not below a supervisor.
    if is_supervised(confinement) {
        steps.extend(limits);
        steps.push(SetupStep::Supervise(Needs::Owners));
    } else {
        steps.push(SetupStep::Credentials(process.credentials.clone(), process.privileges));
        steps.extend(limits);
    }
    steps.push(SetupStep::Exec {
        args: process.args.clone(),
        env: environment(process),
    });
    steps
}

/// The mounts that every plan begins with, in this order.
const PROC: MountIndex = 0;
const SYS: MountIndex = 1;
const DEV: MountIndex = 2;

fn mounts(process: &Process, own_processes: bool, own_network: bool) -> Vec<(PathBuf, Source)> {
    let ours = [
        ("/proc", Source::Proc { new: own_processes }),
        ("/sys", Source::Sys { new: own_network }),
        ("/dev", Source::Dev),
    ];
    let ours = ours.map(|(target, source)| (PathBuf::from(target), source));
    let asked = etc_files(process).into_iter().chain(theirs(process));
    let asked = asked.map(|(target, source)| (target, Source::Asked(source)));
    ours.into_iter().chain(asked).collect()
}

/// The files in `/etc` that are the sandbox's.
fn etc_files(process: &Process) -> [(PathBuf, MountSource); 2] {
    let text_file = |text: String| MountSource::File {
        content: Content(text.into_bytes()),
        mode: 0o644,
        uid: 0,
        gid: 0,
    };
    [
        ("/etc/resolv.conf".into(), text_file(process.resolv_conf.clone())),
        ("/etc/hosts".into(), text_file(hosts(process))),
    ]
}

/// The mounts that the process asks for.
fn theirs(process: &Process) -> impl Iterator<Item = (PathBuf, MountSource)> {
    let mounts = process.mounts.iter();
    mounts.map(|mount| (mount.target.clone(), mount.source.clone()))
}

/// `/etc/hosts` as BuildKit writes it.
fn hosts(process: &Process) -> String {
    let mut text = format!("127.0.0.1\tlocalhost {}\n", process.hostname);
    text.push_str("::1\tlocalhost ip6-localhost ip6-loopback\n");
    for (address, name) in &process.extra_hosts {
        text.push_str(&format!("{address}\t{name}\n"));
    }
    text
}

fn environment(process: &Process) -> Vec<(String, String)> {
    let mut env = process.env.clone();
    if !env.iter().any(|(name, _)| name == "PATH") {
        env.push(("PATH".into(), DEFAULT_PATH.into()));
    }
    env
}

#[cfg(test)]
mod tests;
