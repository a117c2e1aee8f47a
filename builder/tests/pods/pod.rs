//! The pods: in what each one differs from the others, and the OCI runtime configuration that a kubelet would make.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::workspace;

/// A stand-in for a pod.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pod {
    /// Its name in croze's documentation and design.
    pub(crate) name: &'static str,
    pub(crate) uid: u32,
    pub(crate) capabilities: Capabilities,
    pub(crate) no_new_privileges: bool,
    pub(crate) seccomp: Seccomp,
    /// `procMount: Default`; else `Unmasked`.
    pub(crate) is_proc_masked: bool,
    /// `hostUsers: true`; else the pod has a user namespace.
    pub(crate) has_host_users: bool,
    /// `readOnlyRootFilesystem: true`.
    pub(crate) is_root_read_only: bool,
}

/// What the container may have at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Capabilities {
    /// containerd's and Docker's.
    Default,
    /// CRI-O's.
    Crio,
    /// containerd's and `SYS_ADMIN`.
    SysAdmin,
    /// `drop: [ALL]`.
    None,
}

/// The system calls that are allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seccomp {
    /// containerd 2.
    RuntimeDefault,
    /// containerd 1.6.
    Containerd16,
    /// `ci-examples/kubernetes/seccomp-croze.json`, which an administrator has put on the node.
    Croze,
    /// All.
    Unconfined,
}

/// Root, default capabilities, RuntimeDefault, masked `/proc`: what a pod is that asks for nothing.
const P1: Pod = Pod {
    name: "P1",
    uid: 0,
    capabilities: Capabilities::Default,
    no_new_privileges: false,
    seccomp: Seccomp::RuntimeDefault,
    is_proc_masked: true,
    has_host_users: true,
    is_root_read_only: false,
};

/// A user without seccomp, as rootless builders ask for it.
const P4: Pod = Pod {
    name: "P4",
    uid: USER,
    seccomp: Seccomp::Unconfined,
    ..P1
};

/// Root in a user namespace of the pod's.
const P6: Pod = Pod {
    name: "P6",
    has_host_users: false,
    ..P1
};

/// The user of pods that are not root's.
const USER: u32 = 1000;

/// A group of the pod's, as `fsGroup` gives one.
const GROUP: u32 = 999;

/// All of them.
pub(crate) const PODS: [Pod; 24] = [
    P1,
    Pod {
        name: "P1-rd16",
        seccomp: Seccomp::Containerd16,
        ..P1
    },
    Pod {
        name: "P1-ro",
        is_root_read_only: true,
        ..P1
    },
    Pod {
        name: "P1c",
        capabilities: Capabilities::Crio,
        ..P1
    },
    Pod {
        name: "P1cx",
        capabilities: Capabilities::Crio,
        seccomp: Seccomp::Unconfined,
        ..P1
    },
    Pod {
        name: "P1s",
        capabilities: Capabilities::SysAdmin,
        ..P1
    },
    Pod {
        name: "P1x",
        seccomp: Seccomp::Unconfined,
        ..P1
    },
    Pod {
        name: "P2",
        uid: USER,
        ..P1
    },
    // Pod Security *restricted*.
    Pod {
        name: "P3",
        uid: USER,
        capabilities: Capabilities::None,
        no_new_privileges: true,
        ..P1
    },
    Pod {
        name: "P3-rd16",
        uid: USER,
        capabilities: Capabilities::None,
        no_new_privileges: true,
        seccomp: Seccomp::Containerd16,
        ..P1
    },
    Pod {
        name: "P3-ro",
        uid: USER,
        capabilities: Capabilities::None,
        no_new_privileges: true,
        is_root_read_only: true,
        ..P1
    },
    // The same on nodes with croze's profile.
    Pod {
        name: "P3l",
        uid: USER,
        capabilities: Capabilities::None,
        no_new_privileges: true,
        seccomp: Seccomp::Croze,
        ..P1
    },
    P4,
    Pod {
        name: "P4d",
        capabilities: Capabilities::None,
        ..P4
    },
    Pod {
        name: "P5",
        no_new_privileges: true,
        ..P4
    },
    P6,
    Pod {
        name: "P6b",
        capabilities: Capabilities::SysAdmin,
        ..P6
    },
    Pod {
        name: "P6bu",
        capabilities: Capabilities::SysAdmin,
        is_proc_masked: false,
        ..P6
    },
    Pod {
        name: "P6c",
        capabilities: Capabilities::Crio,
        ..P6
    },
    Pod {
        name: "P6x",
        seccomp: Seccomp::Unconfined,
        ..P6
    },
    Pod {
        name: "P6xu",
        seccomp: Seccomp::Unconfined,
        is_proc_masked: false,
        ..P6
    },
    Pod {
        name: "P6lu",
        seccomp: Seccomp::Croze,
        is_proc_masked: false,
        ..P6
    },
    Pod {
        name: "P6r",
        has_host_users: false,
        is_proc_masked: false,
        ..P4
    },
    Pod {
        name: "P6n",
        capabilities: Capabilities::None,
        no_new_privileges: true,
        has_host_users: false,
        is_proc_masked: false,
        ..P4
    },
];

/// First id on the host, and number of ids, of pods with a user namespace.
const IDS: (u32, u32) = (200_000, 65_536);

const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// Those of [`DEFAULT_CAPABILITIES`] that CRI-O leaves out.
const NOT_CRIO: [&str; 5] = [
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SYS_CHROOT",
    "CAP_AUDIT_WRITE",
];

impl Capabilities {
    /// Returns them as the kernel names them.
    pub(crate) fn names(self) -> Vec<&'static str> {
        let default = DEFAULT_CAPABILITIES.into_iter();
        match self {
            Self::Default => default.collect(),
            Self::Crio => default.filter(|name| !NOT_CRIO.contains(name)).collect(),
            Self::SysAdmin => default.chain(["CAP_SYS_ADMIN"]).collect(),
            Self::None => Vec::new(),
        }
    }
}

impl Pod {
    /// Returns the pod of a name.
    pub(crate) fn named(name: &str) -> Self {
        let found = PODS.into_iter().find(|pod| pod.name == name);
        found.unwrap_or_else(|| panic!("there is no pod `{name}`"))
    }

    /// Returns what the pod's first user and group are on the host.
    pub(crate) fn first_id(&self) -> u32 {
        if self.has_host_users { 0 } else { IDS.0 }
    }

    /// Returns `/etc/subuid` and `/etc/subgid` of an image for the pod.
    pub(crate) fn subordinate_ids(&self) -> &'static str {
        if self.has_host_users {
            "builder:300000:65536\n"
        } else {
            // No others exist there: all but the builder's own.
            "builder:1:999\nbuilder:1001:64535\n"
        }
    }

    /// Returns the profile as containerd makes it for the pod's capabilities.
    fn seccomp(&self) -> Option<Value> {
        let profile = match self.seccomp {
            Seccomp::RuntimeDefault => read("seccomp.json"),
            Seccomp::Containerd16 => read("seccomp-1.6.json"),
            Seccomp::Croze => return Some(read("../../ci-examples/kubernetes/seccomp-croze.json")),
            Seccomp::Unconfined => return None,
        };
        let mut rules = profile["always"].as_array().unwrap().clone();
        let has = |name: &str| self.capabilities.names().contains(&name);
        let mut add = |list: &Value, wanted: bool| {
            for (capability, more) in list.as_object().unwrap() {
                if has(capability) == wanted {
                    rules.extend(more.as_array().unwrap().iter().cloned());
                }
            }
        };
        add(&profile["with"], true);
        add(&profile["without"], false);
        Some(json!({
            "defaultAction": profile["defaultAction"],
            "architectures": profile["architectures"],
            "syscalls": rules,
        }))
    }

    /// Returns the configuration. The pod has the network of the host, where the tests' registry is.
    pub(crate) fn configuration(&self) -> Value {
        let mut config = read("pod.json");
        config["root"]["readonly"] = self.is_root_read_only.into();
        let capabilities = self.capabilities.names();
        // A user's are there for setuid programs only, which is what the bounding set is for.
        let process = &mut config["process"];
        process["user"] = json!({ "uid": self.uid, "gid": self.uid, "additionalGids": [GROUP] });
        process["capabilities"] = json!({
            "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
        });
        process["noNewPrivileges"] = self.no_new_privileges.into();
        let linux = &mut config["linux"];
        if let Some(profile) = self.seccomp() {
            linux["seccomp"] = profile;
        }
        if !self.is_proc_masked {
            linux["maskedPaths"] = json!([]);
            linux["readonlyPaths"] = json!([]);
        }
        if !self.has_host_users {
            let ids = json!([{ "containerID": 0, "hostID": IDS.0, "size": IDS.1 }]);
            linux["uidMappings"] = ids.clone();
            linux["gidMappings"] = ids;
            linux["namespaces"]
                .as_array_mut()
                .unwrap()
                .push(json!({ "type": "user" }));
            share_sysfs(&mut config);
        }
        config
    }
}

/// Gives a pod with a user namespace the sysfs of the host: with the host's network it may mount none.
fn share_sysfs(config: &mut Value) {
    let mounts = config["mounts"].as_array_mut().unwrap();
    mounts.retain(|mount| !["/sys", "/sys/fs/cgroup"].contains(&mount["destination"].as_str().unwrap()));
    mounts.push(json!({
        "destination": "/sys",
        "type": "bind",
        "source": "/sys",
        "options": ["rbind", "ro", "nosuid", "nodev", "noexec"],
    }));
}

fn read(name: &str) -> Value {
    let path = workspace().join(Path::new("testdata/pods")).join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
