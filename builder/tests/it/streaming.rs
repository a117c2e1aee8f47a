//! Layers that go to a registry while they are packed: nothing of them stays but their snapshots, and what they are.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::{fs, thread};

use builder::image::LayerBlob;
use builder::state_dir::note::{self, Found};
use registry::oci::Digest;
use serde_json::Value;

use crate::harness::{Lab, Registry, sh};

/// A layer that compresses badly, and one that hardly is one.
const TWO_LAYERS: &str = "FROM BASE/busybox\nRUN head -c 3000000 /dev/urandom > /large\nRUN echo small > /small\n";

/// A layer that is easily made another.
const COPY: &str = "FROM BASE/busybox\nCOPY file /\n";

/// Returns how many of the layers that a lab has made are in its store as blobs.
fn blobs_in_store(lab: &Lab) -> usize {
    let blobs = lab.path().join("state/v1/blobs/sha256");
    let is_there = |hex: String| blobs.join(&hex[..2]).join(&hex).exists();
    let notes = notes(lab).into_iter();
    notes
        .filter(|(_, blob)| is_there(blob.descriptor.digest.hex().to_owned()))
        .count()
}

fn manifest(tag: &str) -> Value {
    serde_json::from_str(&sh(&format!("skopeo inspect --raw --tls-verify=false docker://{tag}"))).unwrap()
}

/// Fails unless every blob of an image is there and is what its digest says, and `/small` is in the image.
fn assert_whole(lab: &Lab, tag: &str) {
    let out = format!("{}/copied", lab.path().display());
    sh(&format!(
        "rm -rf {out} && skopeo copy -q --src-tls-verify=false docker://{tag} dir:{out}"
    ));
    let manifest = manifest(tag);
    let top = manifest["layers"].as_array().unwrap().last().unwrap();
    let blob = top["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    assert_eq!(sh(&format!("tar -xzOf {out}/{blob} small")), "small\n");
}

/// Returns the notes about the layers in the store of a lab.
fn notes(lab: &Lab) -> Vec<(PathBuf, LayerBlob)> {
    let directory = fs::read_dir(lab.path().join("state/v1/layers")).unwrap();
    let paths = directory.map(|entry| entry.unwrap().path());
    paths
        .map(|path| match note::inspect::<LayerBlob>(&path).unwrap() {
            Found::Whole(blob) => (path, blob),
            other => panic!("{}: {other:?}", path.display()),
        })
        .collect()
}

#[test]
fn a_build_that_only_pushes_keeps_no_blob_of_its_layers() {
    let registry = Registry::start();
    let lab = Lab::new(TWO_LAYERS);
    let tag = format!("{}/app:1", registry.host());
    lab.build(&["-t", &tag, "--push"]);
    assert_eq!((notes(&lab).len(), blobs_in_store(&lab)), (2, 0));
    assert_whole(&lab, &tag);
    // The registry has everything: nothing is packed or sent.
    let files = || sh(&format!("find {} -type f | sort", registry.storage().display()));
    let before = files();
    let again = lab.build(&["-t", &tag, "--push"]);
    assert!(again.stderr.contains("finding manifest of"), "{}", again.stderr);
    assert_eq!(files(), before);
    assert_eq!(lab.croze(&["verify"]).code, 0);
    // Who wants a file gets the same blobs, packed once more.
    lab.build(&["-o", "type=oci,dest=image,tar=false"]);
    assert_eq!(blobs_in_store(&lab), 2);
    let exported = sh(&format!("skopeo inspect --raw oci:{}/image", lab.path().display()));
    let exported: Value = serde_json::from_str(&exported).unwrap();
    assert_eq!(exported["layers"], manifest(&tag)["layers"]);
}

#[test]
fn a_name_in_the_store_means_an_image_that_is_there_and_else_the_registrys() {
    let registry = Registry::start();
    let tag = format!("{}/app:1", registry.host());
    let (lab, other) = (Lab::new(COPY), Lab::new(COPY));
    let has_name = || {
        lab.path()
            .join(format!("state/v1/tags/{}/app/:1", registry.host()))
            .exists()
    };
    lab.write("file", "kept").build(&["-t", &tag]);
    assert!(has_name());
    lab.write("file", "pushed").build(&["-t", &tag, "--push"]);
    assert!(!has_name());
    assert_eq!(lab.croze(&["verify"]).code, 0);
    // Nobody here stands between others and what they push.
    other.write("file", "pushed by others").build(&["-t", &tag, "--push"]);
    lab.write("Dockerfile", &format!("FROM {tag}\n"));
    let out = lab.build_files(&[]);
    assert_eq!(fs::read_to_string(out.join("file")).unwrap(), "pushed by others");
    // With another output that keeps it, and with layers that were kept before, it is here.
    lab.write("Dockerfile", &lab.fill(COPY)).write("file", "kept, too");
    lab.build(&[
        "-t",
        &tag,
        "-o",
        "type=oci,dest=image.tar",
        "-o",
        "type=registry,compression=zstd",
    ]);
    assert!(has_name());
    lab.build(&["-t", &tag, "--push"]);
    assert!(has_name());
}

#[test]
fn another_registry_gets_the_same_image_from_the_snapshots() {
    let (one, other) = (Registry::start(), Registry::start());
    let lab = Lab::new(TWO_LAYERS);
    let tags = [&one, &other].map(|registry| format!("{}/app:1", registry.host()));
    for tag in &tags {
        lab.build(&["-t", tag, "--push"]);
        assert_whole(&lab, tag);
    }
    assert_eq!(manifest(&tags[0]), manifest(&tags[1]));
    // A collection leaves the notes, which have nothing else to tell of than snapshots that stay.
    assert_eq!(lab.croze(&["prune", "--max-size=1g"]).code, 0);
    assert_eq!((notes(&lab).len(), blobs_in_store(&lab)), (2, 0));
}

#[test]
fn two_registries_at_once_get_the_blobs_from_the_store() {
    let (one, other) = (Registry::start(), Registry::start());
    let lab = Lab::new(TWO_LAYERS);
    let tags = [&one, &other].map(|registry| format!("{}/app:1", registry.host()));
    lab.build(&["-t", &tags[0], "-t", &tags[1], "--push"]);
    assert_eq!(blobs_in_store(&lab), 2);
    assert_eq!(manifest(&tags[0]), manifest(&tags[1]));
}

#[test]
fn other_repositories_and_a_cache_of_the_registry_mount_what_the_first_has_taken() {
    let registry = Registry::start();
    let lab = Lab::new(TWO_LAYERS);
    let tags = ["app", "copy"].map(|name| format!("{}/{name}:1", registry.host()));
    let cache = format!("type=registry,ref={}/cache", registry.host());
    lab.build(&["-t", &tags[0], "-t", &tags[1], "--push", "--cache-to", &cache]);
    assert_eq!(blobs_in_store(&lab), 0);
    assert_whole(&lab, &tags[0]);
    assert_whole(&lab, &tags[1]);
    sh(&format!("rm -rf {}/state", lab.path().display()));
    let imported = lab.build(&["-t", &tags[0], "--push", "--cache-from", &cache]);
    assert!(imported.stderr.contains("CACHED"), "{}", imported.stderr);
    assert!(imported.stderr.contains("finding manifest of"), "{}", imported.stderr);
}

#[test]
fn a_registry_that_takes_no_stream_gets_the_blob_from_the_store() {
    let registry = Registry::start();
    let lab = Lab::new(TWO_LAYERS);
    // The registry knows no such method, and says so.
    let proxy = garbling_proxy(&registry.host(), *b"PATCH /v2/", *b"PATCX /v2/");
    lab.build(&["-t", &format!("{proxy}/app:1"), "--push"]);
    assert_whole(&lab, &format!("{}/app:1", registry.host()));
    assert_eq!(blobs_in_store(&lab), 2);
}

#[test]
fn a_layer_that_is_packed_to_another_blob_now_is_pushed_as_that() {
    let (one, other) = (Registry::start(), Registry::start());
    let lab = Lab::new(TWO_LAYERS);
    let tags = [&one, &other].map(|registry| format!("{}/app:1", registry.host()));
    lab.build(&["-t", &tags[0], "--push"]);
    // As if another version of croze had packed them.
    for (path, mut blob) in notes(&lab) {
        blob.descriptor.digest = Digest::of(blob.descriptor.digest.to_string().as_bytes());
        note::write(&path, lab.path(), &blob).unwrap();
        sh(&format!("chown croze-ci {}", path.display()));
    }
    lab.build(&["-t", &tags[1], "--push"]);
    assert_whole(&lab, &tags[1]);
    assert_eq!(manifest(&tags[0]), manifest(&tags[1]));
}

#[test]
fn a_layer_that_is_packed_to_another_blob_for_a_cache_is_exported_as_that() {
    let registry = Registry::start();
    let lab = Lab::new("FROM BASE/busybox\nRUN seq 100000 > /numbers\n");
    // The registry mounts nothing: what the cache lacks is packed again.
    let proxy = garbling_proxy(
        &registry.host(),
        *b"POST /v2/cache/blobs/uploads/?mount",
        *b"POST /v2/cache/blobs/uploads/?mourn",
    );
    let tag = |number: u32| format!("{proxy}/app:{number}");
    lab.build(&["-t", &tag(1), "-o", "type=image,push=true,compression-level=1"]);
    let packed = notes(&lab);
    lab.build(&["-t", &tag(2), "--push"]);
    // As if another version of croze had packed it as with the other level.
    for (path, blob) in notes(&lab) {
        let other = packed.iter().find(|(_, other)| other.diff_id == blob.diff_id).unwrap();
        assert!(path == other.0 || blob.descriptor.digest != other.1.descriptor.digest);
        note::write(&path, lab.path(), &other.1).unwrap();
        sh(&format!("chown croze-ci {}", path.display()));
    }
    let cache = format!("type=registry,ref={proxy}/cache,ignore-error=false");
    lab.build(&["-t", &tag(3), "--push", "--cache-to", &cache]);
    sh(&format!("rm -rf {}/state", lab.path().display()));
    let imported = lab.build(&["--cache-from", &cache.replace(",ignore-error=false", ""), "-o", "out"]);
    assert!(imported.stderr.contains("CACHED"), "{}", imported.stderr);
    assert!(lab.path().join("out/numbers").exists());
}

#[test]
fn a_snapshot_whose_files_were_changed_is_not_pushed() {
    let (one, other) = (Registry::start(), Registry::start());
    let lab = Lab::new(TWO_LAYERS);
    lab.build(&["-t", &format!("{}/app:1", one.host()), "--push"]);
    let small = sh(&format!(
        "find {}/state/v1/snap/step-*/fs -name small",
        lab.path().display()
    ));
    fs::write(small.trim(), "other\n").unwrap();
    let failed = lab.croze(&["build", "context", "-t", &format!("{}/app:1", other.host()), "--push"]);
    failed.fails(8, &["are not those of its layer", "croze verify --repair"]);
}

/// Starts a proxy that replaces some bytes of what clients say; returns its address.
fn garbling_proxy<const N: usize>(to: &str, said: [u8; N], heard: [u8; N]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, to) = (listener.local_addr().unwrap().to_string(), to.to_owned());
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut server = TcpStream::connect(&to).unwrap();
            let (mut back_from, mut back_to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || {
                let _one_has_gone = io::copy(&mut back_from, &mut back_to);
                let _gone_already = back_to.shutdown(Shutdown::Both);
            });
            thread::spawn(move || {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(read @ 1..) = client.read(&mut buffer) {
                    let bytes = &mut buffer[..read];
                    // A request begins with a write of its own.
                    if bytes.starts_with(&said) {
                        bytes[..N].copy_from_slice(&heard);
                    }
                    if server.write_all(bytes).is_err() {
                        break;
                    }
                }
                let _gone_already = server.shutdown(Shutdown::Both);
            });
        }
    });
    address
}
