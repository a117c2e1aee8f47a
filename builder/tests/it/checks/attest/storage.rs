//! How attestations lie beside an image, and what else is made of them.

use serde_json::{Value, json};

use super::super::Layout;
use super::{Attested, lab, read, script};

#[test]
fn nothing_is_attested_unless_it_is_asked_for() {
    let lab = lab("FROM scratch\nCOPY Dockerfile /\n", &[]);
    for words in [
        &[][..],
        &["--provenance=false", "--sbom=false"],
        &["--attest=type=provenance,disabled=true"],
    ] {
        let root = Layout::of(&lab, words).root();
        assert_eq!(
            root["mediaType"], "application/vnd.oci.image.manifest.v1+json",
            "{words:?}"
        );
    }
    for (words, said) in [
        (
            &["--provenance=true", "--attest=type=provenance"][..],
            "`type=provenance` is given twice",
        ),
        (&["--attest=type=sbomb"], "did you mean `sbom`?"),
        (&["--provenance=mode=most"], "`mode` must be `min` or `max`"),
        (
            &["--provenance=true", "-o", "type=oci,dest=x,oci-mediatypes=false"],
            "attestations need OCI's media types",
        ),
    ] {
        lab.croze(&[&["build", "context"], words].concat()).fails(2, &[said]);
    }
}

#[test]
fn attestations_are_an_artifact_unless_told_otherwise() {
    let lab = lab("FROM scratch\nCOPY Dockerfile /\n", &[]);
    let artifact = Attested::pushed(&lab, "artifact", &["--provenance=true"]);
    let manifest = artifact.layout.blob(&artifact.attestations("linux/amd64"));
    assert_eq!(
        manifest["artifactType"],
        "application/vnd.docker.attestation.manifest.v1+json"
    );
    let image = artifact.image("linux/amd64");
    let subject = json!({"mediaType": image["mediaType"], "digest": image["digest"], "size": image["size"]});
    assert_eq!(manifest["subject"], subject);
    assert_eq!(manifest["config"]["data"], "e30=");
    assert_eq!(artifact.layout.blob(&manifest["config"]), json!({}));

    let legacy = Layout::of(
        &lab,
        &[
            "--provenance=true",
            "-o",
            "type=oci,tar=false,dest=legacy,oci-artifact=false",
        ],
    );
    drop(legacy);
    let legacy = Layout(lab.path().join("legacy"));
    let entry = legacy.root()["manifests"][1].clone();
    let manifest = legacy.blob(&entry);
    assert_eq!(
        (&manifest["artifactType"], &manifest["subject"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        manifest["config"]["mediaType"],
        "application/vnd.oci.image.config.v1+json"
    );
    let config = legacy.blob(&manifest["config"]);
    assert_eq!(
        (&config["os"], &config["architecture"]),
        (&json!("unknown"), &json!("unknown"))
    );
    assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
}

#[test]
fn an_attested_image_is_built_upon_loaded_and_kept_like_any_other() {
    let lab = lab("FROM BASE/busybox\nRUN echo one > /one\n", &[]);
    lab.build(&[
        "-t",
        "attested:1",
        "--provenance=true",
        "-o",
        "type=docker,dest=image.tar",
        "-o",
        "type=image",
    ]);
    let config = script(&lab, "skopeo inspect --config docker-archive:image.tar | jq -r '.os'");
    assert_eq!(config.trim(), "linux");
    let pruned = lab.croze(&["prune"]);
    assert_eq!(pruned.code, 0, "{}", pruned.stderr);
    lab.write("Dockerfile", "FROM attested:1\nRUN test \"$(cat /one)\" = one\n");
    lab.build(&["--provenance=true"]);
}

#[test]
fn the_metadata_file_tells_how_the_image_was_made() {
    let lab = lab("FROM BASE/busybox\nRUN true\n", &[]);
    let metadata = |words: &[&str]| {
        lab.build(&[&["--metadata-file", "meta"], words].concat());
        serde_json::from_str::<Value>(&read(lab.path(), "meta")).unwrap()
    };
    let told = metadata(&["-t", "x:1", "--provenance=mode=max"]);
    assert_eq!(
        told["containerimage.descriptor"]["mediaType"],
        "application/vnd.oci.image.index.v1+json"
    );
    let provenance = &told["buildx.build.provenance"];
    assert_eq!(
        provenance["buildDefinition"]["externalParameters"]["request"]["frontend"],
        "dockerfile.v0"
    );
    assert_eq!(
        provenance["buildDefinition"]["internalParameters"],
        json!({"builderPlatform": "linux/amd64"})
    );
    assert_eq!(provenance["runDetails"]["metadata"], Value::Null);
    let told = metadata(&["--provenance=version=v0.2", "-o", "out"]);
    let provenance = &told["buildx.build.provenance"];
    assert_eq!(provenance["materials"].as_array().unwrap().len(), 1);
    let kept: Vec<&String> = provenance.as_object().unwrap().keys().collect();
    assert_eq!(kept, ["buildType", "materials", "invocation"]);
    lab.write("Dockerfile", "FROM scratch\n");
    let told = metadata(&["--provenance=true", "--platform=linux/amd64,linux/arm64"]);
    assert!(told["buildx.build.provenance/linux/arm64"].is_object(), "{told}");
    assert!(metadata(&[])["buildx.build.provenance"].is_null());
}
