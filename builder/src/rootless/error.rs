//! Why no user namespace could be entered, and what would change that.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::remedy::{MOUNTING_APP_ARMOR, Remedy};

/// Users or groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum IdKind {
    /// Users.
    User,
    /// Groups.
    Group,
}

impl IdKind {
    fn noun(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::User => "/etc/subuid",
            Self::Group => "/etc/subgid",
        }
    }

    fn usermod_flag(self) -> &'static str {
        match self {
            Self::User => "--add-subuids",
            Self::Group => "--add-subgids",
        }
    }
}

/// Why no user namespace could be entered. Every variant is something this machine lacks: exit code 9.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// `user.max_user_namespaces` is 0 or used up.
    #[error("the limit on user namespaces (`user.max_user_namespaces`) is reached")]
    LimitReached,
    /// Debian's and Arch's switch is off.
    #[error("user namespaces are switched off for ordinary users (`kernel.unprivileged_userns_clone` is 0)")]
    SwitchedOff,
    /// AppArmor, as on Ubuntu from 23.10 on, takes the capabilities away.
    #[error("AppArmor restricts user namespaces (`kernel.apparmor_restrict_unprivileged_userns` is 1)")]
    AppArmor,
    /// A container runtime's seccomp profile refuses.
    #[error("the seccomp profile of this container forbids user namespaces")]
    Seccomp,
    /// The kernel has none.
    #[error("this kernel has no user namespaces")]
    NotInKernel,
    /// The kernel or a security module refused, and none of the known reasons fits.
    #[error("a user namespace was refused")]
    Refused {
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The user has no subordinate ids.
    #[error("`{user}` has no subordinate {} ids in `{}`", .kind.noun(), .kind.file())]
    NoSubordinateIds {
        /// Users or groups.
        kind: IdKind,
        /// The user's name or number.
        user: String,
    },
    /// The subordinate ids do not exist in the user namespace this process is in.
    #[error("the subordinate {} ids from {start} on do not exist in this container", .kind.noun())]
    SubordinateIdsUnmapped {
        /// Users or groups.
        kind: IdKind,
        /// First id of the first range.
        start: u32,
    },
    /// This process is root of a namespace with one id.
    #[error("only one {} id exists in this user namespace", .kind.noun())]
    SingleId {
        /// Users or groups.
        kind: IdKind,
    },
    /// Root that may not give the id 0 away.
    #[error("root lacks the capability `CAP_SETFCAP`")]
    NoSetfcap,
    /// Setuid programs have no effect.
    #[error("`no_new_privs` is set, so `newuidmap` cannot work")]
    NoNewPrivileges,
    /// newuidmap(1) or newgidmap(1) is not installed.
    #[error("`{name}` is not installed")]
    NoHelper {
        /// Its name.
        name: String,
    },
    /// newuidmap(1) or newgidmap(1) failed.
    #[error("`{program}` failed: {message}")]
    HelperFailed {
        /// Its path.
        program: PathBuf,
        /// What it printed.
        message: String,
    },
    /// newuidmap(1) or newgidmap(1) could not be started.
    #[error("cannot run `{program}`")]
    HelperNotRun {
        /// Its path.
        program: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The map was refused.
    #[error("cannot write `{path}`")]
    WriteMap {
        /// Which map.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Inside the new namespace, mounting is not allowed.
    #[error("mounting is forbidden in the new user namespace")]
    NoMount {
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A file could not be read.
    #[error("cannot read `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A system call failed that hardly ever does.
    #[error("cannot {verb}")]
    System {
        /// What was attempted.
        verb: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl EnterError {
    /// Returns what to do about it, each by itself; nothing where nothing better is known than the cause itself.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Self::LimitReached => vec![Remedy::host("`sudo sysctl -w user.max_user_namespaces=65536`")],
            Self::SwitchedOff => vec![Remedy::host("`sudo sysctl -w kernel.unprivileged_userns_clone=1`")],
            Self::AppArmor => vec![
                Remedy::host(app_armor_profile()),
                Remedy::host("or for all programs `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`"),
                Remedy::docker("`--security-opt apparmor=unconfined`"),
                Remedy::kubernetes(MOUNTING_APP_ARMOR),
            ],
            Self::Seccomp => vec![
                Remedy::docker("`--security-opt seccomp=unconfined`"),
                Remedy::kubernetes(
                    "`securityContext.seccompProfile: {type: Unconfined}`, or `{type: Localhost, localhostProfile: \
                     croze.json}` with croze's own profile on the node",
                ),
            ],
            Self::NotInKernel => vec![Remedy::host("a kernel built with `CONFIG_USER_NS=y`")],
            Self::NoSubordinateIds { kind, user } => vec![
                Remedy::host(format!(
                    "`sudo usermod {} 100000-165535 {user}`, with a range that `{}` gives to nobody else",
                    kind.usermod_flag(),
                    kind.file(),
                )),
                Remedy::image(format!("a line `{user}:100000:65536` in `{}`", kind.file())),
            ],
            Self::SubordinateIdsUnmapped { kind, .. } => vec![Remedy::image(format!(
                "ranges below 65536 in `{}`: for the user 1000 the lines `1000:1:999` and `1000:1001:64535`",
                kind.file()
            ))],
            Self::SingleId { .. } => vec![Remedy::host(
                "run croze outside of `unshare -r`, or give that namespace a full id map",
            )],
            Self::NoSetfcap => vec![
                Remedy::docker("`--cap-add SETFCAP`"),
                Remedy::kubernetes("`SETFCAP` in `securityContext.capabilities.add`"),
            ],
            Self::NoNewPrivileges => vec![
                Remedy::docker("without `--security-opt no-new-privileges`"),
                Remedy::kubernetes("`securityContext.allowPrivilegeEscalation: true`"),
            ],
            Self::NoHelper { .. } => vec![Remedy::host(
                "`sudo apt-get install uidmap` (Debian, Ubuntu), `sudo dnf install shadow-utils` (Fedora) or `apk add \
                 shadow-subids` (Alpine)",
            )],
            Self::HelperFailed { program, .. } | Self::HelperNotRun { program, .. } => vec![
                Remedy::host(
                    "the user must have a name in `/etc/passwd`, and the range in the message be one of `/etc/subuid` \
                     and `/etc/subgid`",
                ),
                Remedy::image(format!(
                    "`setcap cap_setuid+ep {0}`, and `cap_setgid+ep` for `newgidmap`, instead of setuid bits",
                    program.display(),
                )),
                Remedy::kubernetes("`SETUID` and `SETGID` not among `securityContext.capabilities.drop`"),
            ],
            Self::NoMount { .. } => vec![
                Remedy::docker("`--security-opt apparmor=unconfined`"),
                Remedy::kubernetes(MOUNTING_APP_ARMOR),
            ],
            Self::Refused { .. } | Self::WriteMap { .. } | Self::Read { .. } | Self::System { .. } => Vec::new(),
        }
    }
}

/// The command that lets croze, and no other program, make user namespaces with all rights in them.
fn app_armor_profile() -> String {
    let croze = std::env::current_exe().unwrap_or_else(|_| "/usr/local/bin/croze".into());
    format!(
        "`printf 'abi <abi/4.0>,\\nprofile croze {} flags=(unconfined) {{\\n  userns,\\n}}\\n' | sudo tee \
         /etc/apparmor.d/croze && sudo apparmor_parser -r /etc/apparmor.d/croze`",
        croze.display()
    )
}

/// Says of a failed system call what was attempted.
pub(super) fn errno(verb: &'static str) -> impl Fn(Errno) -> EnterError {
    move |error| EnterError::System {
        verb,
        source: error.into(),
    }
}
