//! The manifests of `ci-examples/kubernetes` do what they say: each asks for what its comment says and no more, is one
//! of the pods of the matrix, where `auto` takes its sandbox, and starts croze with words that it understands.

use std::collections::BTreeSet;
use std::fs;

use builder::cli::args::{BuildArgs, Cli, Command};
use builder::rung::Rung;
use clap::{CommandFactory as _, Parser as _};
use serde_json::Value;

use crate::harness::workspace;
use crate::image::Image;
use crate::manifest::{self, Container, Manifest, Profile};
use crate::matrix::CELLS;
use crate::pod::{Capabilities, Pod, Seccomp};
use crate::pod_security::{strongest, violations};

/// Which stand-in is the pod of a manifest.
const STAND_INS: [(&str, &str); 8] = [
    ("chroot", "P1"),
    ("direct", "P6b"),
    ("in-place", "P1"),
    ("in-place-single", "P3"),
    ("ptrace", "P3-ro"),
    ("userns", "P6xu"),
    ("userns-baseline", "P6lu"),
    ("userns-single", "P3l"),
];

fn croze(manifest: &Manifest) -> &Container {
    let [container] = &manifest.pod.containers[..] else {
        panic!("{} has more than one container", manifest.name)
    };
    container
}

fn build(manifest: &Manifest) -> BuildArgs {
    let words = ["croze".to_owned()].into_iter().chain(croze(manifest).args.clone());
    let parsed = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{}: {error}", manifest.name));
    match parsed.command {
        Command::Build(args) => *args,
        other => panic!("{} builds nothing: {other:?}", manifest.name),
    }
}

/// Returns a path that ends in a slash.
fn as_directory(path: &str) -> String {
    format!("{}/", path.trim_end_matches('/'))
}

#[test]
fn every_sandbox_has_a_manifest() {
    let built: Vec<(String, Rung)> = manifest::all()
        .iter()
        .map(|manifest| (manifest.name.clone(), build(manifest).sandbox.rung().unwrap()))
        .collect();
    for (name, rung) in &built {
        assert!(name.starts_with(rung.name()), "{name} builds in {rung}");
    }
    for rung in Rung::ALL {
        assert!(built.iter().any(|(name, _)| name == rung.name()), "{rung} has none");
    }
}

#[test]
fn a_manifest_satisfies_the_level_that_it_claims_and_no_stronger_one() {
    for manifest in manifest::all() {
        let missing = violations(&manifest.pod, manifest.claim);
        assert!(missing.is_empty(), "{}: {missing:#?}", manifest.name);
        assert_eq!(strongest(&manifest.pod), manifest.claim, "{}", manifest.name);
        // A step of a weaker sandbox sees what the pod sees.
        assert_eq!(
            manifest.pod.automount_service_account_token,
            Some(false),
            "{}",
            manifest.name
        );
    }
}

#[test]
fn a_manifest_s_pod_is_one_in_which_its_sandbox_is_tested() {
    let names: Vec<String> = manifest::all().into_iter().map(|manifest| manifest.name).collect();
    assert_eq!(names, STAND_INS.map(|(name, _)| name));
    for (manifest, (_, pod)) in manifest::all().iter().zip(STAND_INS) {
        let rung = build(manifest).sandbox.rung().unwrap();
        let tested = |cell: &&crate::matrix::Cell| cell.pod == pod && cell.rung == rung && cell.is_auto;
        let cell = CELLS.iter().find(tested);
        let cell = cell.unwrap_or_else(|| panic!("{rung} is not tested in {pod}"));
        // Its own image has nothing but the program, and is told by the name that `build.sh` gives it.
        let is_own = croze(manifest).image.contains("/tools/croze:");
        let is_tested_own = matches!(cell.image, Image::Own | Image::Restricted);
        assert_eq!(is_own, is_tested_own, "{}", manifest.name);
        compare(manifest, &Pod::named(pod));
    }
}

/// Holds what a kubelet would make of a manifest to a stand-in.
fn compare(manifest: &Manifest, pod: &Pod) {
    let (name, spec, container) = (&manifest.name, &manifest.pod, croze(manifest));
    let context = &container.security_context;
    assert_eq!(spec.user(container), Some(pod.uid), "{name}");
    assert_eq!(spec.security_context.run_as_group.unwrap_or(0), pod.uid, "{name}");
    assert_eq!(spec.host_users != Some(false), pod.has_host_users, "{name}");
    assert_eq!(context.proc_mount.is_none(), pod.is_proc_masked, "{name}");
    assert_eq!(
        context.allow_privilege_escalation == Some(false),
        pod.no_new_privileges,
        "{name}"
    );
    assert_eq!(context.read_only_root_filesystem, pod.is_root_read_only, "{name}");
    let localhost = |file: &str| Profile {
        kind: "Localhost".into(),
        localhost_profile: Some(file.into()),
    };
    let profile = |kind: &str| Profile {
        kind: kind.into(),
        localhost_profile: None,
    };
    let seccomp = match pod.seccomp {
        Seccomp::RuntimeDefault => profile("RuntimeDefault"),
        Seccomp::Unconfined => profile("Unconfined"),
        Seccomp::Croze => localhost("croze.json"),
        Seccomp::Containerd16 => panic!("a pod cannot ask for an old runtime"),
    };
    assert_eq!(spec.seccomp(container), Some(&seccomp), "{name}");
    let mut capabilities: BTreeSet<String> = BTreeSet::new();
    if context.capabilities.drop.is_empty() {
        capabilities.extend(Capabilities::Default.names().into_iter().map(str::to_owned));
    }
    capabilities.extend(context.capabilities.add.iter().map(|added| format!("CAP_{added}")));
    let expected: BTreeSet<String> = pod.capabilities.names().into_iter().map(str::to_owned).collect();
    assert_eq!(capabilities, expected, "{name}");
}

#[test]
fn what_mounts_is_given_an_app_armor_profile_that_lets_it() {
    for manifest in manifest::all() {
        let found = manifest
            .pod
            .app_armor(croze(&manifest))
            .map(|profile| profile.kind.as_str());
        match build(&manifest).sandbox.rung().unwrap() {
            Rung::Direct | Rung::Userns | Rung::UsernsSingle => {
                assert!(matches!(found, Some("Unconfined" | "Localhost")), "{}", manifest.name);
            }
            Rung::InPlace | Rung::InPlaceSingle | Rung::Chroot | Rung::Ptrace => {
                assert_eq!(found, None, "{}", manifest.name);
            }
        }
    }
}

#[test]
fn every_path_of_a_manifest_is_a_volume_s() {
    for manifest in manifest::all() {
        let container = croze(&manifest);
        let volumes: BTreeSet<&str> = manifest.pod.volumes.iter().filter_map(|v| v["name"].as_str()).collect();
        let mounts = |container: &Container| container.volume_mounts.clone();
        let mounted: BTreeSet<String> = mounts(container).into_iter().map(|mount| mount.name).collect();
        assert_eq!(
            volumes,
            mounted.iter().map(String::as_str).collect(),
            "{}",
            manifest.name
        );
        let variables = container
            .env
            .iter()
            .map(|variable| (&variable["name"], &variable["value"]));
        let paths = variables
            .filter(|(name, _)| *name != "HOME")
            .map(|(_, value)| value.clone());
        for path in paths.chain([build(&manifest).context]) {
            let holds =
                |mount: &manifest::VolumeMount| as_directory(&path).starts_with(&as_directory(&mount.mount_path));
            assert!(mounts(container).iter().any(holds), "{}: `{path}`", manifest.name);
        }
        let source = &manifest.pod.init_containers[0];
        assert_eq!(
            source.args.last(),
            Some(&source.volume_mounts[0].mount_path),
            "{}",
            manifest.name
        );
        assert!(container.resources["requests"].is_object() && manifest.pod.restart_policy == "Never");
        // An image of somebody else's has an entry point of its own.
        let needs_command = !container.image.contains("/tools/croze:");
        assert_eq!(container.command == ["croze"], needs_command, "{}", manifest.name);
    }
}

#[test]
fn the_app_armor_profiles_allow_namespaces_and_the_pod_s_also_mounts() {
    for (file, name, rules) in [
        (
            "ci-examples/kubernetes/apparmor-croze",
            "croze-pod",
            &["userns,", "mount,", "umount,", "pivot_root,"][..],
        ),
        ("ci-examples/ubuntu/apparmor-croze", "croze", &["userns,"]),
    ] {
        let text = fs::read_to_string(workspace().join(file)).unwrap();
        assert!(text.contains(&format!("\nprofile {name} ")), "{file}");
        for rule in rules {
            assert!(text.lines().any(|line| line.trim() == *rule), "{file}: {rule}");
        }
    }
    let localhost = |manifest: &Manifest| manifest.pod.app_armor(croze(manifest))?.localhost_profile.clone();
    let named: BTreeSet<String> = manifest::all().iter().filter_map(localhost).collect();
    assert_eq!(named, BTreeSet::from(["croze-pod".to_owned()]));
}

/// What the profile must add to RuntimeDefault, for namespaces and for what is mounted in them.
const ADDED: [&str; 14] = [
    "chroot",
    "clone",
    "fsconfig",
    "fsmount",
    "fsopen",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "pivot_root",
    "sethostname",
    "setns",
    "umount2",
    "unshare",
];

#[test]
fn the_seccomp_profile_is_runtime_default_and_fourteen_calls() {
    let read = |path: &str| -> Value { serde_json::from_slice(&fs::read(workspace().join(path)).unwrap()).unwrap() };
    let croze = read("ci-examples/kubernetes/seccomp-croze.json");
    let default = read("testdata/pods/seccomp.json");
    assert_eq!(croze["defaultAction"], default["defaultAction"]);
    let mut expected = rules(&default["always"]);
    expected.extend(ADDED.map(|call| (call.to_owned(), r#"["SCMP_ACT_ALLOW",null,null]"#.to_owned())));
    // What RuntimeDefault says where there is no `SYS_ADMIN`: programs then do without.
    let without = rules(&default["without"]["CAP_SYS_ADMIN"]);
    expected.extend(without.into_iter().filter(|(call, _)| call == "clone3"));
    let found = rules(&croze["syscalls"]);
    assert_eq!(
        found.difference(&expected).collect::<Vec<_>>(),
        [] as [&_; 0],
        "allowed without need"
    );
    assert_eq!(
        expected.difference(&found).collect::<Vec<_>>(),
        [] as [&_; 0],
        "not allowed"
    );
}

/// Returns each call of a list of rules with what is done to it.
fn rules(list: &Value) -> BTreeSet<(String, String)> {
    let rules = list.as_array().unwrap().iter();
    let of_rule = |rule: &Value| -> Vec<(String, String)> {
        let action = Value::from(vec![
            rule["action"].clone(),
            rule["args"].clone(),
            rule["errnoRet"].clone(),
        ]);
        let names = rule["names"].as_array().unwrap().iter();
        names
            .map(|name| (name.as_str().unwrap().to_owned(), action.to_string()))
            .collect()
    };
    rules.flat_map(of_rule).collect()
}

#[test]
fn every_option_that_the_page_for_kaniko_s_users_names_exists() {
    let page = fs::read_to_string(manifest::folder().join("kaniko.md")).unwrap();
    let command = Cli::command();
    let mut options: BTreeSet<String> = BTreeSet::new();
    for command in [&command].into_iter().chain(command.get_subcommands()) {
        options.extend(
            command
                .get_arguments()
                .filter_map(|a| a.get_long())
                .map(|long| format!("--{long}")),
        );
        options.extend(
            command
                .get_arguments()
                .filter_map(|a| a.get_short())
                .map(|short| format!("-{short}")),
        );
    }
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| `-"))
        .map(|line| line.split(" | ").collect())
        .collect();
    assert!(rows.len() > 40, "the table was not found");
    for row in rows {
        let named = row[1].split('`').skip(1).step_by(2);
        for word in named
            .flat_map(|code| code.split([' ', '=']))
            .filter(|word| word.starts_with('-'))
        {
            assert!(options.contains(word), "`{word}` does not exist: {row:?}");
        }
    }
    let links = page
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#']).next());
    for link in links.filter(|link| !link.is_empty() && !link.contains("://")) {
        assert!(manifest::folder().join(link).exists(), "the page links to `{link}`");
    }
}
