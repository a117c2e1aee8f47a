//! Why no user namespace could be entered, and what would change that.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

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
    /// Returns what to do about it: a command to type or a field to set. `None` where nothing better is known than the
    /// cause itself.
    pub fn remedy(&self) -> Option<String> {
        let remedy = match self {
            Self::LimitReached => "run `sudo sysctl -w user.max_user_namespaces=65536` on the host".into(),
            Self::SwitchedOff => "run `sudo sysctl -w kernel.unprivileged_userns_clone=1` on the host".into(),
            Self::AppArmor => "run `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, or give croze an \
                AppArmor profile with `userns,`; in Kubernetes set `appArmorProfile: {type: Unconfined}`"
                .into(),
            Self::Seccomp => "in Kubernetes set `securityContext.seccompProfile: {type: Unconfined}`; with Docker or \
                Podman pass `--security-opt seccomp=unconfined`"
                .into(),
            Self::NotInKernel => "use a kernel built with `CONFIG_USER_NS=y`".into(),
            Self::NoSubordinateIds { kind, user } => format!(
                "run `sudo usermod {} 100000-165535 {user}`, with a range that `{}` gives to nobody else",
                kind.usermod_flag(),
                kind.file(),
            ),
            Self::SubordinateIdsUnmapped { kind, .. } => {
                format!("give ranges below 65536 in the image's `{}`", kind.file())
            }
            Self::SingleId { .. } => "run croze outside of `unshare -r` or give that namespace a full id map".into(),
            Self::NoSetfcap => "in Kubernetes add `SETFCAP` to `securityContext.capabilities.add`, or run as another \
                user"
                .into(),
            Self::NoNewPrivileges => "in Kubernetes set `securityContext.allowPrivilegeEscalation: true`; with Docker \
                or Podman drop `--security-opt no-new-privileges`"
                .into(),
            Self::NoHelper { .. } => {
                "run `sudo apt-get install uidmap` (Debian, Ubuntu), `sudo dnf install shadow-utils` (Fedora) or `apk \
                 add shadow-subids` (Alpine)"
                    .into()
            }
            Self::HelperFailed { program, .. } => format!(
                "check that the range in the message is the one in `/etc/subuid` and `/etc/subgid`; in a container \
                 also run `setcap cap_setuid+ep {0}` (`cap_setgid+ep` for `newgidmap`) when building its image, and \
                 keep the capabilities SETUID and SETGID",
                program.display(),
            ),
            Self::NoMount { .. } => "AppArmor or SELinux may be the cause; in Kubernetes set `appArmorProfile: {type: \
                Unconfined}`"
                .into(),
            Self::Refused { .. } | Self::WriteMap { .. } | Self::Read { .. } | Self::System { .. } => return None,
        };
        Some(remedy)
    }
}

/// Says of a failed system call what was attempted.
pub(super) fn errno(verb: &'static str) -> impl Fn(Errno) -> EnterError {
    move |error| EnterError::System {
        verb,
        source: error.into(),
    }
}
