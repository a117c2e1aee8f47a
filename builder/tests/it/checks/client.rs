//! Checks of BuildKit's client that a Dockerfile can express: layers and pulled images.

use serde_json::Value;

use super::{Files, Layout, lab, pushed, script};
use crate::harness::base_registry;

/// Lists the last layer of a build's image.
fn last_layer(dockerfile: &str) -> Vec<String> {
    let lab = lab(dockerfile, &[]);
    let manifest = Layout::of(&lab, &[]).root();
    let digest = manifest["layers"].as_array().unwrap().last().unwrap()["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    let listing = script(&lab, &format!("tar -tf image/blobs/{}", digest.replace(':', "/")));
    listing.lines().map(str::to_owned).collect()
}

#[test]
fn a_deleted_file_is_hidden_below_its_parent() {
    // BK-363
    let entries = last_layer("FROM BASE/busybox\nRUN mkdir -p foo && touch foo/bar\nRUN rm foo/bar\n");
    assert_eq!(entries, ["foo/", "foo/.wh.bar"]);
}

#[test]
fn a_deleted_directory_is_hidden_once() {
    // BK-364
    let entries = last_layer("FROM BASE/busybox\nRUN mkdir /d && mkdir /d/d1 && touch /d/d1/bar\nRUN rm -rf /d/d1\n");
    assert_eq!(entries, ["d/", "d/.wh.d1"]);
}

#[test]
fn a_moved_directory_is_hidden_and_there_again() {
    // BK-365
    let entries = last_layer("FROM BASE/busybox\nRUN mkdir foo && touch foo/bar\nRUN mv foo foo2\n");
    assert_eq!(entries, [".wh.foo", "foo2/", "foo2/bar"]);
}

#[test]
fn an_image_may_be_pushed_by_its_digest_only() {
    // BK-372
    let lab = lab("FROM scratch\nCOPY Dockerfile /\n", &[]);
    let name = format!("{}/checks/by-digest", base_registry());
    lab.build(&[
        "-o",
        &format!("type=image,name={name},push=true,push-by-digest=true"),
        "--metadata-file",
        "meta",
    ]);
    let metadata: Value = serde_json::from_str(&super::read(lab.path(), "meta")).unwrap();
    let digest = metadata["containerimage.digest"].as_str().unwrap();
    script(
        &lab,
        &format!("skopeo inspect --raw --tls-verify=false docker://{name}@{digest}"),
    );
    let tag = script(
        &lab,
        &format!("skopeo inspect --raw --tls-verify=false docker://{name}:latest 2>&1 || echo none"),
    );
    assert!(tag.ends_with("none\n"), "{tag}");
}

#[test]
fn an_image_is_pushed_under_another_name_without_being_pulled() {
    // BK-373
    let base = pushed("lazy", "FROM BASE/busybox\nRUN echo lazy > /lazy\n", &[]);
    let lab = lab(&format!("FROM {base}\nLABEL again=yes\n"), &[]);
    for repository in ["lazy", "lazy-elsewhere"] {
        lab.build(&["--push", "-t", &format!("{}/checks/{repository}:2", base_registry())]);
    }
    assert_eq!(script(&lab, "find state -path '*blobs*' -type f -size +100k"), "");
}

#[test]
fn a_digest_that_does_not_exist_is_not_pulled() {
    // BK-381
    let text = format!("FROM BASE/busybox@sha256:{}\nRUN true\n", "12".repeat(32));
    lab(&text, &[])
        .croze(&["build", "context"])
        .fails(5, &["does not exist", "Dockerfile:1"]);
}

#[test]
fn images_of_every_compression_are_bases() {
    // BK-381
    for compression in ["zstd", "uncompressed", "gzip"] {
        let lab = lab("FROM BASE/busybox\nRUN echo content > /data\n", &[]);
        let name = format!("{}/checks/compressed-{compression}:1", base_registry());
        lab.build(&[
            "-o",
            &format!("type=registry,name={name},compression={compression},force-compression=true"),
        ]);
        let raw = script(
            &lab,
            &format!("skopeo inspect --raw --tls-verify=false docker://{name}"),
        );
        let suffix = match compression {
            "uncompressed" => "layer.v1.tar\"",
            "zstd" => "layer.v1.tar+zstd\"",
            _ => "layer.v1.tar+gzip\"",
        };
        assert_eq!(raw.matches(suffix).count(), 2, "{raw}");
        let out = Files::of(&format!("FROM {name}\nRUN cp /data /copy\n"), &[], &[]);
        assert_eq!(out.read("copy"), "content\n");
    }
}

#[test]
fn a_socket_is_not_in_an_archive() {
    // BK-378
    let lab = lab(
        "FROM BASE/debian\nRUN perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => \"/socket\", Listen => 1)'\n",
        &[],
    );
    lab.build(&["-o", "type=tar,dest=root.tar"]);
    assert_eq!(script(&lab, "tar -tf root.tar | grep -c socket$ || true"), "0\n");
}
