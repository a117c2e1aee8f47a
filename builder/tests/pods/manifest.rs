//! The Kubernetes manifests of `ci-examples/kubernetes`, read as an API server would: unknown fields are errors.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::harness::workspace;
use crate::pod_security::Level;

/// A file with a Secret and a Job.
pub(crate) struct Manifest {
    /// Its name without `.yaml`.
    pub(crate) name: String,
    /// What its comment says that it satisfies.
    pub(crate) claim: Level,
    pub(crate) pod: PodSpec,
}

/// What both kinds of object have.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    api_version: String,
    kind: String,
    #[serde(default)]
    spec: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct JobSpec {
    #[serde(rename = "backoffLimit")]
    _backoff_limit: u32,
    #[serde(rename = "ttlSecondsAfterFinished")]
    _ttl: u32,
    template: Template,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Template {
    spec: PodSpec,
}

/// What is said of a pod.
#[derive(Deserialize, Clone, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct PodSpec {
    pub(crate) restart_policy: String,
    pub(crate) automount_service_account_token: Option<bool>,
    pub(crate) host_users: Option<bool>,
    pub(crate) host_network: bool,
    #[serde(rename = "hostPID")]
    pub(crate) host_pid: bool,
    #[serde(rename = "hostIPC")]
    pub(crate) host_ipc: bool,
    pub(crate) security_context: SecurityContext,
    pub(crate) init_containers: Vec<Container>,
    pub(crate) containers: Vec<Container>,
    pub(crate) volumes: Vec<BTreeMap<String, Value>>,
}

/// What is said of a container.
#[derive(Deserialize, Clone, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) command: Vec<String>,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<BTreeMap<String, String>>,
    pub(crate) ports: Vec<BTreeMap<String, Value>>,
    pub(crate) security_context: SecurityContext,
    pub(crate) resources: Value,
    pub(crate) volume_mounts: Vec<VolumeMount>,
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct VolumeMount {
    pub(crate) name: String,
    pub(crate) mount_path: String,
    #[serde(default, rename = "readOnly")]
    pub(crate) _read_only: bool,
}

/// A security context, of a pod or of a container.
#[derive(Deserialize, Clone, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct SecurityContext {
    pub(crate) privileged: bool,
    pub(crate) run_as_user: Option<u32>,
    pub(crate) run_as_group: Option<u32>,
    pub(crate) run_as_non_root: Option<bool>,
    pub(crate) allow_privilege_escalation: Option<bool>,
    pub(crate) read_only_root_filesystem: bool,
    pub(crate) proc_mount: Option<String>,
    pub(crate) capabilities: Capabilities,
    pub(crate) seccomp_profile: Option<Profile>,
    pub(crate) app_armor_profile: Option<Profile>,
}

#[derive(Deserialize, Clone, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Capabilities {
    pub(crate) add: Vec<String>,
    pub(crate) drop: Vec<String>,
}

/// A seccomp or AppArmor profile.
#[derive(Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Profile {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) localhost_profile: Option<String>,
}

impl PodSpec {
    /// Returns every container of the pod, those that come first among them.
    pub(crate) fn all_containers(&self) -> impl Iterator<Item = &Container> {
        self.init_containers.iter().chain(&self.containers)
    }

    /// Returns the seccomp profile of a container, which may be the pod's.
    pub(crate) fn seccomp<'a>(&'a self, container: &'a Container) -> Option<&'a Profile> {
        let own = container.security_context.seccomp_profile.as_ref();
        own.or(self.security_context.seccomp_profile.as_ref())
    }

    /// Returns the AppArmor profile of a container, which may be the pod's.
    pub(crate) fn app_armor<'a>(&'a self, container: &'a Container) -> Option<&'a Profile> {
        let own = container.security_context.app_armor_profile.as_ref();
        own.or(self.security_context.app_armor_profile.as_ref())
    }

    /// Returns the user of a container; an image may name another one only if there is none.
    pub(crate) fn user(&self, container: &Container) -> Option<u32> {
        let own = container.security_context.run_as_user;
        own.or(self.security_context.run_as_user)
    }
}

/// Returns all of them, by name.
pub(crate) fn all() -> Vec<Manifest> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let manifests = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let mut all: Vec<Manifest> = manifests.map(|file| read(&file)).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Returns where they are.
pub(crate) fn folder() -> PathBuf {
    workspace().join("ci-examples/kubernetes")
}

fn read(file: &Path) -> Manifest {
    let text = fs::read_to_string(file).unwrap();
    let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
    let objects: Vec<Object> = serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let kinds: Vec<_> = objects
        .iter()
        .map(|o| (o.api_version.as_str(), o.kind.as_str()))
        .collect();
    assert_eq!(kinds, [("v1", "Secret"), ("batch/v1", "Job")], "{name}");
    let job: JobSpec =
        serde_json::from_value(objects[1].spec.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let claims: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# Pod Security level: "))
        .collect();
    let [claim] = claims[..] else {
        panic!("{name} claims a level {} times", claims.len())
    };
    Manifest {
        claim: claim.split([',', '.']).next().unwrap().parse().unwrap(),
        name,
        pod: job.template.spec,
    }
}
