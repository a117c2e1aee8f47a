//! The Pod Security Standards, as far as the fields reach that croze's manifests use: what `kube-apiserver` would
//! refuse in a namespace with a level. From the controls of version 1.36.

use std::str::FromStr;

use crate::manifest::{Container, PodSpec};

/// A level, the most permissive first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Level {
    Privileged,
    Baseline,
    Restricted,
}

impl FromStr for Level {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "privileged" => Ok(Self::Privileged),
            "baseline" => Ok(Self::Baseline),
            "restricted" => Ok(Self::Restricted),
            _ => Err(format!("`{name}` is no Pod Security level")),
        }
    }
}

/// What *baseline* lets a container add.
const ADDABLE: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// What *restricted* lets a pod mount.
const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Returns the strongest level that a pod satisfies.
pub(crate) fn strongest(pod: &PodSpec) -> Level {
    let satisfied = |level: &Level| violations(pod, *level).is_empty();
    [Level::Restricted, Level::Baseline]
        .into_iter()
        .find(satisfied)
        .unwrap_or(Level::Privileged)
}

/// Returns the fields for which a namespace with a level would refuse a pod.
pub(crate) fn violations(pod: &PodSpec, level: Level) -> Vec<String> {
    let mut found = Vec::new();
    if level >= Level::Baseline {
        baseline_pod(pod, &mut found);
        pod.all_containers()
            .for_each(|container| baseline(pod, container, &mut found));
    }
    if level >= Level::Restricted {
        restricted_pod(pod, &mut found);
        pod.all_containers()
            .for_each(|container| restricted(pod, container, &mut found));
    }
    found
}

fn has_own_users(pod: &PodSpec) -> bool {
    pod.host_users == Some(false)
}

fn baseline_pod(pod: &PodSpec, found: &mut Vec<String>) {
    for (field, is_set) in [
        ("hostNetwork", pod.host_network),
        ("hostPID", pod.host_pid),
        ("hostIPC", pod.host_ipc),
    ] {
        if is_set {
            found.push(field.to_owned());
        }
    }
    if pod.volumes.iter().any(|volume| volume.contains_key("hostPath")) {
        found.push("volumes: hostPath".to_owned());
    }
}

fn baseline(pod: &PodSpec, container: &Container, found: &mut Vec<String>) {
    let context = &container.security_context;
    let mut refuse = |field: String| found.push(format!("{}: {field}", container.name));
    if context.privileged {
        refuse("privileged".into());
    }
    if container.ports.iter().any(|port| port.contains_key("hostPort")) {
        refuse("hostPort".into());
    }
    for added in &context.capabilities.add {
        if !ADDABLE.contains(&added.as_str()) {
            refuse(format!("capabilities.add: {added}"));
        }
    }
    // Where nothing is said, the kubelet decides, which the level permits.
    if pod
        .seccomp(container)
        .is_some_and(|profile| profile.kind == "Unconfined")
    {
        refuse("seccompProfile: Unconfined".into());
    }
    if pod
        .app_armor(container)
        .is_some_and(|profile| profile.kind == "Unconfined")
    {
        refuse("appArmorProfile: Unconfined".into());
    }
    match context.proc_mount.as_deref() {
        None | Some("Default") => {}
        // Since Kubernetes 1.35.
        Some("Unmasked") if has_own_users(pod) => {}
        Some(other) => refuse(format!("procMount: {other}")),
    }
}

fn restricted_pod(pod: &PodSpec, found: &mut Vec<String>) {
    for kind in pod.volumes.iter().flat_map(|volume| volume.keys()) {
        if kind != "name" && !VOLUMES.contains(&kind.as_str()) {
            found.push(format!("volumes: {kind}"));
        }
    }
}

fn restricted(pod: &PodSpec, container: &Container, found: &mut Vec<String>) {
    let context = &container.security_context;
    let mut refuse = |field: &str| found.push(format!("{}: {field}", container.name));
    if context.allow_privilege_escalation != Some(false) {
        refuse("allowPrivilegeEscalation is not false");
    }
    if !context.capabilities.drop.iter().any(|dropped| dropped == "ALL") {
        refuse("capabilities.drop is not ALL");
    }
    if context.capabilities.add.iter().any(|added| added != "NET_BIND_SERVICE") {
        refuse("capabilities.add");
    }
    if pod.seccomp(container).is_none() {
        refuse("no seccompProfile");
    }
    if context.proc_mount.as_deref().is_some_and(|view| view != "Default") {
        refuse("procMount");
    }
    // Since Kubernetes 1.35 root of the pod's own user namespace will do.
    let must_not_be_root = !has_own_users(pod);
    let says_so = context.run_as_non_root.or(pod.security_context.run_as_non_root);
    if must_not_be_root && says_so != Some(true) {
        refuse("runAsNonRoot is not true");
    }
    if must_not_be_root && pod.user(container) == Some(0) {
        refuse("runAsUser is 0");
    }
}

/// A pod with one container of everything that *restricted* asks for, and what `change` makes of it.
fn pod(change: impl FnOnce(&mut PodSpec)) -> PodSpec {
    let text = r#"{"securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "c", "securityContext":
            {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}"#;
    let mut pod = serde_json::from_str(text).unwrap();
    change(&mut pod);
    pod
}

#[test]
fn a_pod_is_as_strong_as_the_levels_say() {
    let profile = |kind: &str| serde_json::from_value(serde_json::json!({ "type": kind })).unwrap();
    let unmasked = |pod: &mut PodSpec| pod.containers[0].security_context.proc_mount = Some("Unmasked".into());
    let level = |change: &dyn Fn(&mut PodSpec)| strongest(&pod(|pod| change(pod)));
    assert_eq!(level(&|_| ()), Level::Restricted);
    assert_eq!(
        level(&|pod| pod.security_context.run_as_user = Some(1)),
        Level::Restricted
    );
    for change in [
        &|pod: &mut PodSpec| pod.security_context.run_as_user = Some(0),
        &|pod| pod.security_context.run_as_non_root = None,
        &|pod| pod.security_context.seccomp_profile = None,
        &|pod| pod.containers[0].security_context.allow_privilege_escalation = None,
        &|pod| pod.containers[0].security_context.capabilities.drop.clear(),
        &|pod| pod.containers[0].security_context.capabilities.add = vec!["SYS_CHROOT".into()],
        &|pod| pod.volumes = vec![[("nfs".to_owned(), serde_json::Value::Null)].into()],
    ] as [&dyn Fn(&mut PodSpec); 7]
    {
        assert_eq!(
            level(change),
            Level::Baseline,
            "{:?}",
            violations(&pod(change), Level::Restricted)
        );
    }
    for change in [
        &|pod: &mut PodSpec| pod.host_network = true,
        &|pod| pod.host_pid = true,
        &|pod| pod.host_ipc = true,
        &|pod| pod.volumes = vec![[("hostPath".to_owned(), serde_json::Value::Null)].into()],
        &|pod| pod.containers[0].ports = vec![[("hostPort".to_owned(), 80.into())].into()],
        &|pod| pod.containers[0].security_context.privileged = true,
        &|pod| pod.containers[0].security_context.capabilities.add = vec!["NET_RAW".into()],
        &|pod| pod.containers[0].security_context.seccomp_profile = Some(profile("Unconfined")),
        &|pod| pod.security_context.app_armor_profile = Some(profile("Unconfined")),
        &unmasked,
    ] as [&dyn Fn(&mut PodSpec); 10]
    {
        assert_eq!(level(change), Level::Privileged);
    }
    // With its own users a pod may be root, and see all of `/proc`.
    let own = |pod: &mut PodSpec| (pod.host_users, pod.security_context.run_as_non_root) = (Some(false), None);
    assert_eq!(level(&own), Level::Restricted);
    assert_eq!(level(&|pod| (own(pod), unmasked(pod)).1), Level::Baseline);
}
