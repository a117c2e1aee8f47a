//! Tests of devices: which files count, what names mean, what is refused.

use super::*;
use crate::executor::Restriction;

/// Directories of specifications, each given as directory, file and text.
fn registry(files: &[(&str, &str, &str)]) -> DeviceRegistry {
    let top = tempfile::tempdir().unwrap();
    let mut directories = Vec::new();
    for (directory, name, text) in files {
        let directory = top.path().join(directory);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(name), text).unwrap();
        if !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    directories.push(top.path().join("missing"));
    DeviceRegistry::load(&directories)
}

const GPUS: &str = r#"
cdiVersion: "0.6.0"
kind: vendor.example/gpu
annotations:
  org.mobyproject.buildkit.device.autoallow: true
containerEdits:
  env: [ALL=gpus]
devices:
- name: "0"
  annotations: {org.mobyproject.buildkit.device.class: fast}
  containerEdits:
    env: [GPU=0]
    deviceNodes:
    - {path: /dev/gpu0, hostPath: /dev/null, type: c, major: 1, minor: 3, fileMode: 438, permissions: rw}
    - path: /dev/zero
    mounts:
    - {hostPath: /usr, containerPath: /opt/gpu, options: [ro, nosuid, nodev, bind]}
- name: "1"
  annotations: {org.mobyproject.buildkit.device.autoallow: "false"}
  containerEdits:
    env: [GPU=1]
"#;

#[test]
fn a_name_means_one_device_the_first_all_or_those_of_a_class() {
    let registry = registry(&[("etc", "gpus.yaml", GPUS)]);
    let gpu = |number: u8| format!("vendor.example/gpu={number}");
    for (name, found) in [
        ("vendor.example/gpu=1", vec![gpu(1)]),
        ("vendor.example/gpu", vec![gpu(0)]),
        ("vendor.example/gpu=*", vec![gpu(0), gpu(1)]),
        ("vendor.example/gpu=fast", vec![gpu(0)]),
        ("vendor.example/gpu=2", vec![]),
        ("other.example/gpu", vec![]),
    ] {
        assert_eq!(registry.find(name), Ok(found), "{name}");
    }
    for name in [
        "",
        "gpu",
        "/gpu=0",
        "vendor.example/",
        "vendor example/gpu=0",
        "vendor.example/g.pu",
        "a/b/c",
    ] {
        assert_eq!(registry.find(name), Err(DeviceError::Name(name.to_owned())));
    }
    let Err(DeviceError::Unregistered { help, .. }) = registry.require("vendor.example/gpu=O") else {
        panic!("found");
    };
    assert_eq!(help, "did you mean `vendor.example/gpu=0`?");
    // An annotation of the device counts more than that of its file.
    assert!(registry.is_automatic(&gpu(0)) && !registry.is_automatic(&gpu(1)));
}

#[test]
fn a_device_brings_what_its_file_says_and_then_what_it_says_itself() {
    let registry = registry(&[("etc", "gpus.yaml", GPUS)]);
    let devices = ["vendor.example/gpu=1", "vendor.example/gpu=0"].map(str::to_owned);
    let edits = registry.edits(&devices).unwrap();
    let env: Vec<String> = edits
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(env, ["ALL=gpus", "GPU=1", "GPU=0"]);
    let mount = |target: &str, path: &str, restrictions: &[Restriction]| HostMount {
        target: target.into(),
        path: path.into(),
        restrictions: restrictions.to_vec(),
    };
    let restrictions = [Restriction::Write, Restriction::SetId, Restriction::Devices];
    let expected = [
        mount("/dev/gpu0", "/dev/null", &[]),
        mount("/dev/zero", "/dev/zero", &[]),
        mount("/opt/gpu", "/usr", &restrictions),
    ];
    assert_eq!(edits.mounts, expected);
}

#[test]
fn later_directories_count_more_and_one_directory_may_not_contradict_itself() {
    let json = |env: &str| {
        format!(
            r#"{{"cdiVersion":"1.0.0","kind":"a.b/c","devices":[{{"name":"d","containerEdits":{{"env":["{env}"]}}}}]}}"#
        )
    };
    let (one, two) = (json("FROM=one"), json("FROM=two"));
    let name = "a.b/c=d".to_owned();
    let found = registry(&[("1", "x.json", &one), ("2", "x.json", &two), ("2", "ignored.txt", &one)]);
    let from = |registry: &DeviceRegistry| registry.edits(std::slice::from_ref(&name)).unwrap().env[0].1.clone();
    assert_eq!(from(&found), "two");
    let twice = registry(&[("1", "x.json", &one), ("1", "y.json", &two)]);
    assert_eq!(
        twice.edits(std::slice::from_ref(&name)),
        Err(DeviceError::Twice(name.clone()))
    );
    let settled = registry(&[("1", "x.json", &one), ("1", "y.json", &two), ("2", "z.json", &two)]);
    assert_eq!(from(&settled), "two");
}

#[test]
fn what_cannot_be_given_is_refused_by_name() {
    let device =
        |edits: &str| format!("cdiVersion: 0.5.0\nkind: a/b\ndevices: [{{name: c, containerEdits: {{{edits}}}}}]");
    for (edits, said) in [
        (
            "hooks: [{hookName: createContainer, path: /bin/true}]",
            "hooks to be run",
        ),
        ("additionalGids: [44]", "groups of this machine"),
        ("intelRdt: {closID: x}", "Intel RDT"),
        ("env: [X]", "the variable `X` without a value"),
        (
            "deviceNodes: [{path: /dev/none-such}]",
            "`/dev/none-such`, which this machine does not have",
        ),
        (
            "mounts: [{hostPath: /usr, containerPath: /x, options: [rshared]}]",
            "the mount option `rshared`",
        ),
        (
            "mounts: [{hostPath: none, containerPath: /x, type: tmpfs}]",
            "none of this machine's files",
        ),
        ("mounts: [{hostPath: /usr, containerPath: /}]", "a mount on `/`"),
    ] {
        let registry = registry(&[("etc", "x.yaml", &device(edits))]);
        let error = registry.edits(&["a/b=c".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("\"a/b=c\"") && error.contains(said), "{error}");
    }
}

#[test]
fn a_file_that_cannot_be_used_is_told_when_a_device_is_missing() {
    for (name, text, said) in [
        ("x.json", "{", "x.json: it is no CDI specification: EOF"),
        ("x.yaml", "kind: [", "x.yaml: it is no CDI specification"),
        (
            "x.yaml",
            "cdiVersion: 1.0.0\nkind: a\ndevices: []",
            "its kind `a` is not of the form `vendor/class`",
        ),
        (
            "x.yaml",
            "cdiVersion: 9.0.0\nkind: a/b\ndevices: []\nfuture: 1",
            "x.yaml: it is no CDI specification",
        ),
    ] {
        let registry = registry(&[("etc", name, text)]);
        let Err(DeviceError::Unregistered { help, .. }) = registry.require("a/b=c") else {
            panic!("found");
        };
        assert!(help.contains(said), "{help}");
    }
}
