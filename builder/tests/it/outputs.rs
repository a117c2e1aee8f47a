//! Every output, read again by tools that are not ours.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Lab, Outcome, Registry, base_registry, sh};

fn lab() -> Lab {
    let lab = Lab::new(
        "FROM BASE/busybox\nRUN mkdir /data && echo hello > /data/hello && chown 1:2 /data/hello && rm /etc/group\n\
         CMD [\"cat\", \"/data/hello\"]\n",
    );
    lab.write("unused", "");
    lab
}

#[test]
fn an_oci_archive_and_a_directory_are_read_by_skopeo_and_umoci() {
    let lab = lab();
    lab.build(&[
        "-t",
        "example.com/x:1",
        "-o",
        "type=oci,dest=image.tar",
        "-o",
        "type=oci,dest=image,tar=false",
    ]);
    let path = lab.path().display();
    let archive = sh(&format!("skopeo inspect --raw oci-archive:{path}/image.tar"));
    assert_eq!(archive, sh(&format!("skopeo inspect --raw oci:{path}/image")));
    let tag = sh(&format!(
        "jq -r '.manifests[0].annotations[\"org.opencontainers.image.ref.name\"]' {path}/image/index.json"
    ));
    sh(&format!(
        "umoci unpack --image {path}/image:{} {path}/bundle 2>&1",
        tag.trim()
    ));
    assert_eq!(sh(&format!("stat -c %u:%g {path}/bundle/rootfs/data/hello")), "1:2\n");
    assert!(
        !lab.path().join("bundle/rootfs/etc/group").exists(),
        "a deleted file came back"
    );
}

#[test]
fn a_docker_archive_is_loaded_by_podman_under_its_name() {
    let lab = lab();
    lab.build(&["-t", "example.com/x:1", "-o", "type=docker,dest=image.tar"]);
    let path = lab.path().display();
    let podman = format!("podman --root {path}/p --runroot {path}/r --storage-driver vfs");
    let loaded = sh(&format!("{podman} load -i {path}/image.tar 2>&1"));
    assert!(loaded.contains("example.com/x:1"), "{loaded}");
    let command = sh(&format!(
        "{podman} inspect --format '{{{{.Config.Cmd}}}}' example.com/x:1"
    ));
    assert_eq!(command, "[cat /data/hello]\n");
}

#[test]
fn a_tar_has_the_whole_file_system_with_owners() {
    let lab = lab();
    lab.build(&["-o", "type=tar,dest=root.tar"]);
    let listing = sh(&format!("tar --numeric-owner -tvf {}/root.tar", lab.path().display()));
    assert!(
        listing
            .lines()
            .any(|l| l.contains(" 1/2 ") && l.ends_with("data/hello")),
        "{listing}"
    );
    assert!(
        listing.contains("bin/busybox") && !listing.contains("etc/group"),
        "{listing}"
    );
}

#[test]
fn a_directory_output_belongs_to_who_builds_and_follows_no_link() {
    let lab = lab();
    let out = lab.build_files(&[]);
    let owner = fs::metadata(lab.path()).unwrap().uid();
    assert_eq!(fs::read_to_string(out.join("data/hello")).unwrap(), "hello\n");
    assert_eq!(fs::metadata(out.join("data/hello")).unwrap().uid(), owner);

    let (outside, planted) = (lab.path().join("outside"), lab.path().join("planted"));
    sh(&format!(
        "mkdir {0} {1} && ln -s {0} {1}/data && chown -hR --reference={2} {0} {1}",
        outside.display(),
        planted.display(),
        lab.path().display()
    ));
    lab.croze(&["build", "-o", "planted", "context"]);
    assert_eq!(
        fs::read_dir(&outside).unwrap().count(),
        0,
        "a link in the destination was followed"
    );
}

#[test]
fn a_tar_on_standard_output_is_only_the_tar() {
    let lab = lab();
    let output = lab.command(&["build", "-o", "-", "context"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names: Vec<String> = tar::Archive::new(&output.stdout[..])
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert!(names.iter().any(|name| name.ends_with("data/hello")), "{names:?}");
}

#[test]
fn the_metadata_and_id_files_name_what_is_in_the_registry() {
    let lab = lab();
    let tag = format!("{}/metadata:1", base_registry());
    let outcome = lab.build(&["-t", &tag, "--push", "--metadata-file", "meta.json", "--iidfile", "iid"]);
    let metadata: Value = serde_json::from_slice(&fs::read(lab.path().join("meta.json")).unwrap()).unwrap();
    let digest = sh(&format!(
        "skopeo inspect --tls-verify=false --format '{{{{.Digest}}}}' docker://{tag}"
    ));
    assert_eq!(metadata["containerimage.digest"], digest.trim());
    assert_eq!(metadata["containerimage.descriptor"]["digest"], digest.trim());
    assert_eq!(metadata["image.name"], tag.as_str());
    let raw = sh(&format!("skopeo inspect --raw --tls-verify=false docker://{tag}"));
    let manifest: Value = serde_json::from_str(&raw).unwrap();
    let config = manifest["config"]["digest"].as_str().unwrap();
    assert_eq!(metadata["containerimage.config.digest"], config);
    assert_eq!(fs::read_to_string(lab.path().join("iid")).unwrap(), config);
    assert_eq!(outcome.stdout, "", "standard output is for data only");
}

#[test]
fn quiet_prints_the_image_id_and_nothing_else() {
    let lab = lab();
    let outcome = lab.croze(&["build", "-q", "-t", "x:1", "context"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{}", outcome.stderr);
    assert!(
        outcome.stdout.starts_with("sha256:") && outcome.stdout.trim().len() == 71,
        "{}",
        outcome.stdout
    );
}

#[test]
fn raw_json_is_one_status_a_line_and_has_the_log() {
    let lab = Lab::new("FROM BASE/busybox\nRUN echo from the step\n");
    let outcome = lab.croze(&["build", "--progress=rawjson", "context"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let statuses: Vec<Value> = outcome
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<&str> = statuses
        .iter()
        .filter_map(|s| s["vertexes"][0]["name"].as_str())
        .collect();
    assert!(names.contains(&"[2/2] RUN echo from the step"), "{names:?}");
    assert!(
        statuses.iter().any(|s| s["logs"][0]["data"] == "ZnJvbSB0aGUgc3RlcAo="),
        "{}",
        outcome.stderr
    );
}

#[test]
fn layers_are_compressed_as_asked_and_read_back() {
    for (compression, media_type) in [("zstd", "tar+zstd"), ("none", "layer.v1.tar\""), ("gzip:1", "tar+gzip")] {
        let lab = lab();
        lab.build(&[
            "-t",
            "x:1",
            "--compression",
            compression,
            "-o",
            "type=oci,dest=image,tar=false",
        ]);
        let path = lab.path().display();
        let manifest = sh(&format!("skopeo inspect --raw oci:{path}/image"));
        assert!(manifest.contains(media_type), "{compression}: {manifest}");
    }
}

#[test]
fn an_image_kept_in_the_store_is_a_base_for_the_next_build() {
    let lab = lab();
    lab.build(&["-t", "kept:1"]);
    lab.write(
        "Dockerfile",
        "FROM kept:1\nRUN grep hello /data/hello && echo more > /more\n",
    );
    let out = lab.build_files(&[]);
    assert!(out.join("more").exists() && out.join("data/hello").exists());
}

#[test]
fn an_image_with_a_name_has_all_its_layers_in_the_store() {
    let mut registry = Registry::start();
    let base = format!("{}/base:1", registry.host());
    sh(&format!(
        "skopeo copy -q --src-tls-verify=false --dest-tls-verify=false docker://{}/busybox docker://{base}",
        base_registry()
    ));
    let lab = Lab::new(&format!("FROM {base}\nENV a=b\n"));
    lab.build(&["-o", "type=image,name=kept:1"]);
    registry.stop();
    lab.write("Dockerfile", "FROM kept:1\nRUN [ $a = b ]\n");
    lab.build(&[]);
}

#[test]
fn result_files_are_written_to_where_they_cannot_be_replaced() {
    let lab = Lab::new("FROM BASE/busybox\n");
    // One in a directory that is closed to the user, one that is mounted; both longer than what is to be in them.
    let at = lab.path().display();
    sh(&format!(
        "cd {at}; mkdir closed; for file in closed/log mounted; do head -c 100000 /dev/zero > $file; chmod 666 $file; done"
    ));
    let command = lab.command(&["build", "--iidfile=closed/log", "--metadata-file=mounted", "context"]);
    let output = Command::new("unshare")
        .args([
            "--mount",
            "sh",
            "-euc",
            "mount --bind mounted mounted; exec \"$@\"",
            "sh",
        ])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(lab.path())
        .output();
    let outcome = Outcome::of(output.unwrap());
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let read = |name: &str| fs::read_to_string(lab.path().join(name)).unwrap();
    assert!(read("closed/log").starts_with("sha256:") && read("closed/log").len() == 71);
    let metadata: Value = serde_json::from_str(&read("mounted")).unwrap();
    assert_eq!(metadata["containerimage.config.digest"], read("closed/log"));

    // What cannot be written is told before anything is built.
    lab.croze(&["build", "--iidfile=closed/absent", "-o", "out", "context"])
        .fails(5, &["closed/absent", "permission denied"]);
    assert!(!lab.path().join("out").exists());
}
