//! In which ways a sandbox confines a step less than a user namespace with everything below it does.
//!
//! `builder/tests/pods/attacks.rs` holds this list to what really can be done: each name is that of an attack, or is
//! written in the attacks that it stands for.

use serde::Serialize;

use super::{Confinement, Landlock, ProcView, Rung};

/// Something that a step can do in one sandbox, and cannot in a better one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Weakness {
    /// A word or two for it.
    pub name: &'static str,
    /// What a step can do.
    pub text: &'static str,
}

const PROCESS_LIST: Weakness = Weakness {
    name: "process-list",
    text: "a step sees the processes outside by name; what it leaves running is found and killed by croze, not by the \
           kernel",
};
const OWN_CAPABILITIES: Weakness = Weakness {
    name: "own-capabilities",
    text: "a step's capabilities are croze's own, over the network that croze has, raw sockets among it",
};
const USERS: Weakness = Weakness {
    name: "users",
    text: "users of the image are one user to the kernel: what they may do to each other's files is croze's to \
           refuse, and their processes can end each other",
};
const CROZE_FILES: Weakness = Weakness {
    name: "croze-files",
    text: "a step that has croze's own user id can use every file that croze can: credentials, volumes, croze's program \
           and its state",
};
const CROZE_SIGNALS: Weakness = Weakness {
    name: "croze-signals",
    text: "a step that has croze's own user id can end croze",
};
const CROZE_MEMORY: Weakness = Weakness {
    name: "croze-memory",
    text: "a step that has croze's own user id can read and change what croze has in memory",
};
const ABSTRACT_SOCKETS: Weakness = Weakness {
    name: "abstract-sockets",
    text: "a step can connect to abstract Unix sockets of the container's network",
};
const CONTAINER_SOCKETS: Weakness = Weakness {
    name: "container-sockets",
    text: "a step can connect to Unix sockets that croze's user may use and that lie in the container's files, those of its \
           volumes among them",
};
const SYSTEM_CALLS: Weakness = Weakness {
    name: "system-calls",
    text: "the only filter of system calls is the container's own: without one, a step can make namespaces",
};
const READ_ONLY_MOUNTS: Weakness = Weakness {
    name: "read-only-mounts",
    text: "what is mounted to be read is a copy that a step can write to",
};
const MOUNT_SIZES: Weakness = Weakness {
    name: "mount-sizes",
    text: "the sizes of `--mount=type=tmpfs` and `--shm-size` are not enforced",
};
const SHARED_MEMORY: Weakness = Weakness {
    name: "shared-memory",
    text: "a step sees what others have left in shared memory, semaphores and message queues of the container",
};
const TERMINAL: Weakness = Weakness {
    name: "terminal",
    text: "a step can read and write terminals of the container, that of whoever runs croze among them",
};
const HOST_NAME: Weakness = Weakness {
    name: "host-name",
    text: "a step has the host name of the container",
};

impl Rung {
    /// Returns in which ways it is weaker than a user namespace with a full id map and a `/proc` of its own, on a kernel
    /// that has all that can help.
    pub fn weaknesses(self) -> &'static [Weakness] {
        match self {
            Self::Userns => &[],
            Self::Direct => &[OWN_CAPABILITIES],
            Self::UsernsSingle => &[USERS],
            Self::InPlace => &[
                CROZE_FILES,
                CROZE_SIGNALS,
                PROCESS_LIST,
                OWN_CAPABILITIES,
                SYSTEM_CALLS,
                ABSTRACT_SOCKETS,
                CONTAINER_SOCKETS,
                READ_ONLY_MOUNTS,
                MOUNT_SIZES,
                HOST_NAME,
                SHARED_MEMORY,
                TERMINAL,
            ],
            Self::Chroot => &[
                PROCESS_LIST,
                OWN_CAPABILITIES,
                USERS,
                CONTAINER_SOCKETS,
                READ_ONLY_MOUNTS,
                MOUNT_SIZES,
                HOST_NAME,
                SHARED_MEMORY,
            ],
            Self::InPlaceSingle => &[
                PROCESS_LIST,
                USERS,
                CONTAINER_SOCKETS,
                READ_ONLY_MOUNTS,
                MOUNT_SIZES,
                HOST_NAME,
                SHARED_MEMORY,
                TERMINAL,
            ],
            Self::Ptrace => &[
                PROCESS_LIST,
                USERS,
                CONTAINER_SOCKETS,
                READ_ONLY_MOUNTS,
                MOUNT_SIZES,
                HOST_NAME,
                SHARED_MEMORY,
            ],
        }
    }
}

impl Confinement {
    /// Returns in which ways it is weaker than `userns` at its best.
    pub fn weaknesses(&self) -> Vec<Weakness> {
        let mut weaknesses = self.rung.weaknesses().to_vec();
        let is_bound = self.proc == ProcView::Bound;
        // Of those whose root is not their own, and that have croze's user.
        let is_kept_by_landlock = matches!(self.rung, Rung::InPlaceSingle | Rung::Chroot | Rung::Ptrace);
        let further = [
            (PROCESS_LIST, is_bound),
            (ABSTRACT_SOCKETS, self.landlock < Landlock::Scopes),
            (CROZE_SIGNALS, self.landlock < Landlock::Scopes && is_bound),
            (CROZE_FILES, self.landlock < Landlock::Files && is_kept_by_landlock),
            // Root closes its memory by itself.
            (
                CROZE_MEMORY,
                self.landlock < Landlock::Files && matches!(self.rung, Rung::InPlaceSingle | Rung::Ptrace),
            ),
        ];
        for (weakness, is_there) in further {
            if is_there && !weaknesses.contains(&weakness) {
                weaknesses.push(weakness);
            }
        }
        weaknesses
    }
}
