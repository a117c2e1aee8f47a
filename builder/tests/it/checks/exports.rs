//! Outputs for one platform and for several.

use serde_json::{Value, json};

use super::{Layout, lab, script};

#[test]
fn a_tar_has_the_files_of_each_platform() {
    // BK-202 BK-203
    let lab = lab(
        "FROM scratch AS stage-linux\nCOPY foo forlinux\nFROM scratch AS stage-darwin\nCOPY bar fordarwin\n\
         FROM stage-$TARGETOS\n",
        &[("foo", "data"), ("bar", "data2")],
    );
    lab.build(&["-o", "type=tar,dest=one.tar"]);
    assert_eq!(script(&lab, "tar -xOf one.tar forlinux"), "data");
    let output = lab
        .command(&["build", "-o", "type=tar,dest=-", "context"])
        .output()
        .unwrap();
    assert_eq!(output.stdout, std::fs::read(lab.path().join("one.tar")).unwrap());
    lab.build(&["-o", "type=tar,dest=two.tar", "--platform", "linux/amd64,darwin/amd64"]);
    assert_eq!(
        script(
            &lab,
            "tar -xOf two.tar linux_amd64/forlinux; tar -xOf two.tar darwin_amd64/fordarwin"
        ),
        "datadata2"
    );
}

#[test]
fn every_platform_has_a_directory_and_an_image() {
    // BK-204
    let lab = lab(
        "FROM scratch\nARG TARGETARCH\nARG TARGETPLATFORM\nLABEL target=$TARGETPLATFORM\nCOPY arch-$TARGETARCH whoami\n",
        &[
            ("arch-arm", "i am arm"),
            ("arch-amd64", "i am amd64"),
            ("arch-s390x", "i am s390x"),
        ],
    );
    let out = lab.build_files(&["--platform", "windows/amd64,linux/arm,linux/s390x"]);
    for (directory, content) in [
        ("windows_amd64", "i am amd64"),
        ("linux_arm_v7", "i am arm"),
        ("linux_s390x", "i am s390x"),
    ] {
        assert_eq!(super::read(&out, &format!("{directory}/whoami")), content);
    }
    let layout = Layout::of(&lab, &["--platform", "windows/amd64,linux/arm/v6,linux/s390x"]);
    let root = layout.root();
    let platforms: Vec<&Value> = root["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["platform"])
        .collect();
    assert_eq!(
        platforms,
        [
            &json!({"os": "windows", "architecture": "amd64"}),
            &json!({"os": "linux", "architecture": "arm", "variant": "v6"}),
            &json!({"os": "linux", "architecture": "s390x"}),
        ]
    );
    let configs = layout.configs();
    let labels: Vec<&Value> = configs
        .iter()
        .map(|config| &config["config"]["Labels"]["target"])
        .collect();
    assert_eq!(labels, ["windows/amd64", "linux/arm/v6", "linux/s390x"]);
    assert_eq!(
        (&configs[0]["os"], &configs[1]["variant"]),
        (&json!("windows"), &json!("v6"))
    );
}

#[test]
fn an_archive_names_the_image_by_all_its_names() {
    // BK-189
    let lab = lab("FROM scratch\nCOPY foo /\n", &[("foo", "hello")]);
    let spec = "type=oci,tar=false,dest=image,\"name=org/repo:tag1,org/repo:tag2\"";
    lab.build(&[
        "-o",
        spec,
        "-o",
        &spec.replace("tar=false,dest=image", "dest=image.tar"),
    ]);
    let index: Value = serde_json::from_str(&script(&lab, "cat image/index.json")).unwrap();
    let entries = index["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0]["digest"], entries[1]["digest"]);
    for (entry, tag) in entries.iter().zip(["tag1", "tag2"]) {
        let annotations = &entry["annotations"];
        assert_eq!(
            annotations["io.containerd.image.name"],
            format!("docker.io/org/repo:{tag}")
        );
        assert_eq!(annotations["org.opencontainers.image.ref.name"], tag);
    }
    let archived: Value = serde_json::from_str(&script(&lab, "tar -xOf image.tar index.json")).unwrap();
    assert_eq!(archived, index);
}

#[test]
fn images_without_files_have_an_index_too() {
    // BK-190
    let lab = lab("FROM scratch\n", &[]);
    let layout = Layout::of(&lab, &["--platform", "linux/arm64,linux/amd64"]);
    assert_eq!(layout.root()["mediaType"], "application/vnd.oci.image.index.v1+json");
    assert_eq!(layout.manifests().len(), 2);
}

#[test]
fn annotations_land_where_they_are_meant() {
    // BK-371
    let lab = lab("FROM scratch\nCOPY foo /\n", &[("foo", "")]);
    let spec = "type=oci,tar=false,dest=image,annotation.gi=generic,annotation-index.ii=index,\
                annotation-manifest.mi=manifest,annotation-manifest[linux/amd64].pi=amd64,\
                annotation-manifest-descriptor.di=descriptor,annotation-index-descriptor.xi=top";
    lab.build(&["-o", spec, "--platform", "linux/amd64,linux/arm64", "-t", "x:1"]);
    let layout = Layout(lab.path().join("image"));
    let index = layout.root();
    assert_eq!(layout.index()["manifests"][0]["annotations"]["xi"], "top");
    assert_eq!(index["annotations"], json!({"ii": "index"}));
    for (entry, manifest, architecture) in [(0, 0, Some("amd64")), (1, 1, None)] {
        assert_eq!(index["manifests"][entry]["annotations"]["di"], "descriptor");
        let annotations = &layout.manifests()[manifest]["annotations"];
        assert_eq!(
            (&annotations["gi"], &annotations["mi"]),
            (&json!("generic"), &json!("manifest"))
        );
        assert_eq!(annotations["pi"].as_str(), architecture);
    }
}

#[test]
fn media_types_are_those_of_oci_unless_told_otherwise() {
    // BK-379
    let lab = lab("FROM scratch\nCOPY foo /\n", &[("foo", "")]);
    let types = |spec: &str| {
        lab.build(&["-t", "x:1", "-o", &format!("{spec},dest=image,tar=false")]);
        let manifest = Layout(lab.path().join("image")).root();
        let of = |value: &Value| value["mediaType"].as_str().unwrap().to_owned();
        script(&lab, "rm -r image");
        [of(&manifest), of(&manifest["config"]), of(&manifest["layers"][0])]
    };
    let oci = ["manifest.v1+json", "config.v1+json", "layer.v1.tar+gzip"]
        .map(|name| format!("application/vnd.oci.image.{name}"));
    assert_eq!(types("type=oci"), oci);
    assert_eq!(types("type=docker"), oci);
    assert_eq!(
        types("type=oci,oci-mediatypes=false"),
        [
            "application/vnd.docker.distribution.manifest.v2+json",
            "application/vnd.docker.container.image.v1+json",
            "application/vnd.docker.image.rootfs.diff.tar.gzip"
        ]
    );
}

#[test]
fn one_build_may_have_many_outputs() {
    // BK-374
    let lab = lab("FROM scratch\nCOPY foo /\n", &[("foo", "content")]);
    let pushed = ["b", "c"].map(|name| lab.fill(&format!("BASE/checks/many-{name}:1")));
    let push = pushed
        .each_ref()
        .map(|name| format!("type=image,name={name},push=true"));
    let mut words = Vec::new();
    for output in [
        &push[0],
        &push[1],
        "one",
        "two",
        "type=tar,dest=one.tar",
        "type=tar,dest=two.tar",
    ] {
        words.extend(["-o", output]);
    }
    lab.build(&words);
    assert_eq!(
        script(&lab, "cmp one.tar two.tar; cat one/foo two/foo"),
        "contentcontent"
    );
    let digests = pushed.each_ref().map(|name| {
        script(
            &lab,
            &format!("skopeo inspect --tls-verify=false --format '{{{{.Digest}}}}' docker://{name}"),
        )
    });
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn files_of_several_platforms_may_share_a_directory_if_they_do_not_collide() {
    // BK-370
    let lab = lab(
        "FROM scratch\nARG TARGETARCH\nCOPY foo hello-$TARGETARCH\n",
        &[("foo", "content")],
    );
    let words = [
        "--platform",
        "linux/amd64,linux/arm64",
        "-o",
        "type=local,dest=out,platform-split=false",
    ];
    lab.build(&words);
    assert_eq!(script(&lab, "ls out"), "hello-amd64\nhello-arm64\n");
    lab.write(
        "Dockerfile",
        "FROM scratch\nARG TARGETARCH\nCOPY foo hello-$TARGETARCH\nCOPY foo same\n",
    );
    let refused = lab.croze(&[&["build"], &words[..], &["context"]].concat());
    refused.fails(
        5,
        &["cannot overwrite `same` from linux_amd64 with linux_arm64 when split option is disabled"],
    );
}

#[test]
fn a_directory_keeps_what_was_there() {
    // BK-369
    let lab = lab("FROM scratch\nCOPY foo /\n", &[("foo", "content")]);
    lab.build_files(&[]);
    script(&lab, "touch out/stale; chown --reference=context out/stale");
    lab.build(&["-o", "out"]);
    assert!(lab.path().join("out/stale").exists());
}

#[test]
fn a_directory_may_be_emptied_of_what_is_stale() {
    // BK-369
    let lab = lab("FROM scratch\nCOPY fresh.txt /\n", &[("fresh.txt", "fresh")]);
    let stale =
        "mkdir -p out/stale-dir; echo > out/stale.txt; echo > out/stale-dir/old.txt; chown -R --reference=context out";
    script(&lab, stale);
    lab.build(&["-o", "type=local,dest=out,mode=delete"]);
    assert_eq!(script(&lab, "ls -A out; cat out/fresh.txt"), "fresh.txt\nfresh");
    // Each platform has its directory, and none is emptied for another.
    script(
        &lab,
        &format!("{stale}; mkdir out/linux_amd64; echo > out/linux_amd64/stale; chown -R --reference=context out"),
    );
    lab.build(&[
        "-o",
        "type=local,dest=out,mode=delete",
        "--platform",
        "linux/amd64,linux/arm64",
    ]);
    let expected = "out/linux_amd64/fresh.txt\nout/linux_arm64/fresh.txt\n";
    assert_eq!(script(&lab, "find out -type f | sort"), expected);
    script(&lab, stale);
    let together = "type=local,dest=out,mode=delete,platform-split=false";
    lab.croze(&[
        "build",
        "-o",
        together,
        "--platform",
        "linux/amd64,linux/arm64",
        "context",
    ])
    .fails(5, &["cannot overwrite `fresh.txt`"]);
    assert!(
        lab.path().join("out/stale.txt").exists(),
        "deleted before it was refused"
    );

    // Elsewhere than below the working directory it needs consent, as with buildx.
    let elsewhere = tempfile::tempdir().unwrap();
    script(
        &lab,
        &format!(
            "chown --reference=context {0}; chmod 777 {0}; touch {0}/stale",
            elsewhere.path().display()
        ),
    );
    let spec = format!("type=local,dest={},mode=delete", elsewhere.path().display());
    for spec in [
        spec.as_str(),
        "type=local,dest=.,mode=delete",
        "type=local,dest=..,mode=delete",
    ] {
        lab.croze(&["build", "-o", spec, "context"]).fails(
            2,
            &["is not below the working directory", "--allow buildx.local.delete"],
        );
    }
    lab.build(&["-o", &spec, "--allow", "buildx.local.delete"]);
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 1);
}
