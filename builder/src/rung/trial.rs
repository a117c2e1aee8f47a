//! What came of trying a rung: each thing it needs, and whether it is there.

use std::cell::OnceCell;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;

use super::copy::{Number, in_copy};
use super::{Confinement, Rung, yama};
use crate::rootless::{EnterError, MOUNTING_APP_ARMOR, Remedy};
use crate::supervisor;
use crate::swap::SwapError;

/// What a rung is tried for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// A directory on the file system where state will be kept.
    pub(super) state_root: &'a Path,
    /// How thoroughly.
    pub(super) thoroughness: Thoroughness,
    /// What is the same for every rung.
    pub(super) known: &'a Known,
}

/// What has been found out so far that is the same for every rung.
#[derive(Debug, Default)]
pub(super) struct Known {
    supervision: OnceCell<Result<(), Number>>,
}

/// How thorough a trial is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Thoroughness {
    /// Everything is done, however long it takes: for an examination.
    Full,
    /// What has never been seen to fail is taken for granted: for a build, which will do it at once.
    Quick,
}

/// A rung that was tried.
#[derive(Debug)]
pub struct Trial {
    /// Which rung.
    pub rung: Rung,
    /// What it needs, in the order in which it was tried.
    pub checks: Vec<Check>,
    /// What a build would get, if it works.
    pub confinement: Option<Confinement>,
    /// How to enter it, if it works.
    pub(super) entry: Entry,
}

/// How a process comes to be where a rung works.
#[derive(Debug)]
pub(super) enum Entry {
    /// By entering this user namespace, then a mount namespace of its own.
    UserNamespace(OwnedFd),
    /// By making a mount namespace of its own, and no more.
    MountNamespace,
    /// It is there, and its root will be the steps'.
    Here,
    /// It is there, and steps will have another root.
    Beside,
}

/// One thing that a rung needs.
#[derive(Debug)]
pub struct Check {
    /// A few words for it.
    pub need: &'static str,
    /// Whether the rung does not work without it.
    pub is_required: bool,
    /// Whether it is there.
    pub outcome: Outcome,
}

/// Whether something is there.
#[derive(Debug)]
pub enum Outcome {
    /// It is.
    Has(String),
    /// It is not.
    Misses(Refusal),
    /// It needs something that is missing, so it could not be tried.
    Untried,
}

/// Why a rung does not work here, or works less well.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No user namespace.
    #[error(transparent)]
    Enter(#[from] EnterError),
    /// A usual id is missing.
    #[error("with {count} ids there is no 65534, the user `nobody` and group `nogroup` of many programs")]
    NoNobody {
        /// How many ids there are.
        count: u64,
    },
    /// The right to mount without a new user namespace is missing.
    #[error("croze has no `CAP_SYS_ADMIN`")]
    NotAdmin,
    /// Capabilities that croze could not take away from a step.
    #[error("croze has no `CAP_SETPCAP`, so steps could keep `CAP_SYS_ADMIN`")]
    NoSetpcap,
    /// Mount namespaces or mounts are forbidden.
    #[error("mounting is forbidden")]
    NoMount {
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// No new procfs can be mounted.
    #[error("cannot mount a new `/proc`")]
    NoProc {
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Overlays do not work on the state directory.
    #[error("no overlay can be mounted on the state directory: {cause}")]
    NoOverlay {
        /// What failed, with its causes, as the trying process said it.
        cause: String,
    },
    /// croze is not root of its container.
    #[error("croze is not user 0")]
    NotRoot,
    /// User 0 lacks rights that root has.
    #[error("croze is user 0 and may not {verb}")]
    NotAllRights {
        /// What it may not do.
        verb: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The container's image is not croze's own, so that its files are in the way.
    #[error("the image that this container runs has files of its own in `{}`", .path.display())]
    ForeignImage {
        /// A directory in `/`.
        path: PathBuf,
    },
    /// The state directory lies where the files of images go.
    #[error("the state directory lies in `{}`, where images have files of their own", .path.display())]
    StateInTheWay {
        /// The directory in `/`.
        path: PathBuf,
    },
    /// The container's `/` is not croze's, and has no place for what images have there.
    #[error("`{}` is no place for an image's: neither a directory of this user's nor a link to one", .path.display())]
    NotLaidOut {
        /// The first place that is missing.
        path: PathBuf,
    },
    /// System calls cannot be answered.
    #[error("system calls of a step cannot be answered")]
    NoSupervision {
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// Yama keeps even whoever has started a process from looking at it.
    #[error("with `kernel.yama.ptrace_scope={scope}` no process may look at another one")]
    Yama {
        /// What the setting is: 2 or 3.
        scope: u8,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// Trees in the state directory could not be moved to `/`.
    #[error("the state directory is on another file system than `/`, to where its trees have to be moved")]
    StateElsewhere,
    /// What lies in `/` cannot be moved.
    #[error(transparent)]
    Swap(#[from] SwapError),
    /// The right to change the root is missing.
    #[error("croze may not change its root")]
    NoChroot {
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// No process can be made to do what only itself can.
    #[error("croze may not trace its own children")]
    NoTracing {
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// Owners cannot be kept beside files.
    #[error("no extended attribute can be set in the state directory")]
    NoAttributes {
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The trying process itself failed.
    #[error("cannot {verb}")]
    Trial {
        /// What was attempted.
        verb: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl Place<'_> {
    /// Tries in a copy of the process whether a step's system calls can be answered, unless another rung has been tried for
    /// that. Not for one that enters a user namespace first.
    pub(super) fn try_supervision(self) -> Result<(), Refusal> {
        let attempt = || in_copy(|| supervisor::try_supervision().map_err(Number::of));
        let tried = self
            .known
            .supervision
            .get_or_init(|| attempt().unwrap_or_else(|error| Err(Number::of(error))));
        tried.map_err(|number| Refusal::no_supervision(number.into()))
    }
}

impl Refusal {
    /// Says why the system calls of a step cannot be answered.
    pub(super) fn no_supervision(source: io::Error) -> Self {
        match yama::forbidding_scope() {
            Some(scope) => Self::Yama { scope, source },
            None => Self::NoSupervision { source },
        }
    }

    /// Says why a child cannot be traced.
    pub(super) fn no_tracing(source: io::Error) -> Self {
        match yama::forbidding_scope() {
            Some(scope) => Self::Yama { scope, source },
            None => Self::NoTracing { source },
        }
    }

    /// Says of a failed system call of a trial what was attempted.
    pub(super) fn trial(verb: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Trial { verb, source }
    }

    /// Returns what to do about it, each by itself; nothing where nothing better is known than the cause itself.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Self::Enter(error) => error.remedies(),
            Self::NoNobody { .. } => vec![
                Remedy::host("ranges of 65536 ids in `/etc/subuid` and `/etc/subgid`"),
                Remedy::image(
                    "in pods with `hostUsers: false` all ids but the own one: for the user 1000 the lines `1000:1:999` \
                     and `1000:1001:64535`",
                ),
            ],
            Self::NotAdmin => vec![
                Remedy::docker("`--cap-add SYS_ADMIN --security-opt apparmor=unconfined`"),
                Remedy::kubernetes("`hostUsers: false`, and `SYS_ADMIN` in `securityContext.capabilities.add`"),
            ],
            Self::NoSetpcap => vec![
                Remedy::docker("`--cap-add SETPCAP`"),
                Remedy::kubernetes("`SETPCAP` in `securityContext.capabilities.add`"),
            ],
            Self::NoMount { .. } => vec![
                Remedy::docker("`--security-opt apparmor=unconfined`"),
                Remedy::kubernetes(MOUNTING_APP_ARMOR),
            ],
            Self::NoProc { .. } => vec![
                Remedy::docker("`--security-opt systempaths=unconfined`"),
                Remedy::kubernetes("`hostUsers: false` and `securityContext.procMount: Unmasked`"),
            ],
            Self::NoOverlay { .. } => vec![
                Remedy::host("`CROZE_ROOT` on ext4, xfs, btrfs or tmpfs, not on a container's own root"),
                Remedy::docker("`--volume croze:/state --env CROZE_ROOT=/state/croze`"),
                Remedy::kubernetes("an `emptyDir` volume, and `CROZE_ROOT` in it"),
            ],
            Self::NotRoot => vec![
                Remedy::docker("`--user 0`"),
                Remedy::kubernetes("`securityContext.runAsUser: 0`"),
            ],
            Self::NotAllRights { .. } => vec![
                Remedy::docker("no `--cap-drop`, or `--cap-add` of `CHOWN`, `SETUID`, `SETGID` and `SETPCAP`"),
                Remedy::kubernetes(
                    "no `drop: [ALL]` in `securityContext.capabilities`, or `add` of `CHOWN`, `SETUID`, `SETGID` and \
                     `SETPCAP`",
                ),
            ],
            Self::ForeignImage { .. } => vec![Remedy::image(
                "croze's own image, or another one that holds nothing but the program, in one directory of `/`",
            )],
            Self::NotLaidOut { .. } => vec![
                Remedy::image("the `-restricted` variant of croze's own image"),
                Remedy::docker("`--user 1000`"),
                Remedy::kubernetes("`securityContext.runAsUser: 1000`"),
            ],
            Self::Yama { scope: 3.., .. } => vec![Remedy::host(
                "`kernel.yama.ptrace_scope=1` in `/etc/sysctl.d`, and a restart: 3 cannot be taken back",
            )],
            Self::Yama { .. } => vec![Remedy::host("`sysctl kernel.yama.ptrace_scope=1`")],
            Self::NoSupervision { .. } => vec![
                Remedy::host("Linux 5.14 or later"),
                Remedy::kubernetes("`securityContext.seccompProfile: {type: RuntimeDefault}`"),
            ],
            Self::StateInTheWay { .. } | Self::StateElsewhere => {
                vec![Remedy::image("`CROZE_ROOT` below `/.croze`, and no volume there")]
            }
            Self::NoChroot { .. } => vec![
                Remedy::docker("`--user 0 --cap-add SYS_CHROOT`"),
                Remedy::kubernetes(
                    "`securityContext.runAsUser: 0`, and `SYS_CHROOT` in `securityContext.capabilities.add`",
                ),
            ],
            Self::NoTracing { .. } => vec![
                Remedy::host("a state directory without `noexec`"),
                Remedy::kubernetes("`securityContext.seccompProfile: {type: RuntimeDefault}`"),
            ],
            Self::NoAttributes { .. } => vec![Remedy::host(
                "`CROZE_ROOT` on ext4, xfs, btrfs, or since Linux 6.6 on tmpfs",
            )],
            Self::Swap(_) | Self::Trial { .. } => Vec::new(),
        }
    }
}

impl Trial {
    /// Begins one.
    pub(super) fn of(rung: Rung) -> Self {
        Self {
            rung,
            checks: Vec::new(),
            confinement: None,
            entry: Entry::MountNamespace,
        }
    }

    /// Notes whether something is there that the rung cannot do without, and returns it. `None` has not been tried.
    pub(super) fn needs<T>(
        &mut self,
        need: &'static str,
        found: Option<Result<T, Refusal>>,
        detail: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        self.wants(true, need, found, detail)
    }

    /// Notes that something is missing that the rung cannot do without.
    pub(super) fn refuse(&mut self, need: &'static str, refusal: Refusal) {
        self.checks.push(Check {
            need,
            is_required: true,
            outcome: Outcome::Misses(refusal),
        });
    }

    /// Notes whether something is there with which the rung works better, or which it even needs.
    pub(super) fn wants<T>(
        &mut self,
        is_required: bool,
        need: &'static str,
        found: Option<Result<T, Refusal>>,
        detail: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        let (outcome, found) = match found {
            Some(Ok(found)) => (Outcome::Has(detail(&found)), Some(found)),
            Some(Err(refusal)) => (Outcome::Misses(refusal), None),
            None => (Outcome::Untried, None),
        };
        self.checks.push(Check {
            need,
            is_required,
            outcome,
        });
        found
    }

    /// Returns whether nothing is missing that the rung cannot do without.
    pub(super) fn is_complete(&self) -> bool {
        let is_there = |check: &Check| !check.is_required || matches!(check.outcome, Outcome::Has(_));
        self.checks.iter().all(is_there)
    }

    /// Returns why the rung does not work; where it does, why it does not work as well as it could.
    pub fn shortcoming(&self) -> Option<&Refusal> {
        let missing = |check: &&Check| matches!(check.outcome, Outcome::Misses(_));
        let (first, required) = (self.checks.iter().find(missing), self.checks.iter().filter(missing));
        let worst = required.into_iter().find(|check| check.is_required).or(first)?;
        match &worst.outcome {
            Outcome::Misses(refusal) => Some(refusal),
            Outcome::Has(_) | Outcome::Untried => None,
        }
    }
}
