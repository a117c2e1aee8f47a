//! Images that lie, and registries that are to be found elsewhere (rows C4, U15, R13).

use std::fs;
use std::io::Read;

use serde_json::Value;

use crate::harness::{Lab, Registry, base_registry, sh};

/// Copies the base `busybox` into an image layout below the lab.
fn layout(lab: &Lab) -> std::path::PathBuf {
    let directory = lab.path().join("layout");
    sh(&format!(
        "skopeo copy --quiet --src-tls-verify=false docker://{}/busybox oci:{}:1 && chmod -R a+rX {1}",
        base_registry(),
        directory.display()
    ));
    directory
}

fn blob(layout: &std::path::Path, digest: &Value) -> std::path::PathBuf {
    layout.join("blobs").join(digest.as_str().unwrap().replace(':', "/"))
}

fn read(path: &std::path::Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Writes a document under its digest and returns its descriptor's digest and size.
fn put(layout: &std::path::Path, document: &Value) -> (String, usize) {
    let bytes = serde_json::to_vec(document).unwrap();
    let digest = registry::oci::Digest::of(&bytes).to_string();
    fs::write(layout.join("blobs").join(digest.replace(':', "/")), &bytes).unwrap();
    (digest, bytes.len())
}

#[test]
fn c4_a_layer_under_the_name_of_another_is_refused_and_the_other_stays() {
    let lab = Lab::new("FROM lying\nRUN true\n");
    let layout = layout(&lab);
    let mut index = read(&layout.join("index.json"));
    let mut manifest = read(&blob(&layout, &index["manifests"][0]["digest"]));
    let mut config = read(&blob(&layout, &manifest["config"]["digest"]));
    let true_name = config["rootfs"]["diff_ids"][0].clone();
    // The true image first: its snapshot is what the lie is after.
    lab.write(
        "Dockerfile",
        &lab.fill("FROM BASE/busybox\nRUN echo honest > /honest\n"),
    );
    lab.build(&[]);
    // Other bytes, said to be the layer that is there.
    sh(&format!(
        "cd {0} && echo evil > evil && tar -cf evil.tar evil && cp evil.tar layout/blobs/sha256/$(sha256sum < evil.tar | cut -d' ' -f1)",
        lab.path().display()
    ));
    let evil = fs::read(lab.path().join("evil.tar")).unwrap();
    config["rootfs"]["diff_ids"] = serde_json::json!([true_name, true_name]);
    let (digest, size) = put(&layout, &config);
    manifest["config"]["digest"] = digest.into();
    manifest["config"]["size"] = size.into();
    let lie = serde_json::json!({"mediaType": "application/vnd.oci.image.layer.v1.tar",
        "digest": registry::oci::Digest::of(&evil).to_string(), "size": evil.len()});
    manifest["layers"] = serde_json::json!([lie, manifest["layers"][0]]);
    let (digest, size) = put(&layout, &manifest);
    index["manifests"][0]["digest"] = digest.into();
    index["manifests"][0]["size"] = size.into();
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    lab.write("Dockerfile", "FROM lying\nRUN cat /evil\n");
    let fresh = lab.path().join("state2");
    sh(&format!(
        "mkdir {0} && chown --reference={1} {0}",
        fresh.display(),
        lab.path().display()
    ));
    let root = format!("--root={}", fresh.display());
    let context = format!("lying=oci-layout://{}:1", layout.display());
    let outcome = lab.croze(&[&root, "build", "context", "--build-context", &context]);
    outcome.fails(8, &["sha256:"]);
    // The true layer is what it was for whoever has it.
    lab.write(
        "Dockerfile",
        &lab.fill("FROM BASE/busybox\nRUN test ! -e /evil && ls /bin/busybox\n"),
    );
    lab.build(&[]);
}

#[test]
fn u15_a_layout_that_is_too_much_is_refused_soon() {
    let lab = Lab::new("FROM lying\nRUN true\n");
    let layout = layout(&lab);
    let index = read(&layout.join("index.json"));
    let with = |change: &dyn Fn(&mut Value)| {
        let mut index = index.clone();
        change(&mut index);
        index.to_string()
    };
    let context = format!("lying=oci-layout://{}:1", layout.display());
    for text in [
        with(&|index| index["manifests"][0]["size"] = (-1).into()),
        with(&|index| index["manifests"][0]["size"] = u64::MAX.into()),
        with(&|index| index["manifests"][0]["size"] = 7.into()),
        with(&|index| index["manifests"][0]["digest"] = "sha256:../../../victim".into()),
        " ".repeat(64 << 20),
    ] {
        fs::write(layout.join("index.json"), &text).unwrap();
        let begun = std::time::Instant::now();
        let outcome = lab.croze(&["build", "context", "--build-context", &context]);
        assert!(matches!(outcome.code, 5 | 8), "{}: {}", outcome.code, outcome.stderr);
        assert!(begun.elapsed().as_secs() < 10);
    }
}

#[test]
fn r13_what_an_image_says_of_itself_moves_nothing_on_the_machine() {
    let lab = Lab::new(
        "FROM BASE/busybox\nENV LD_PRELOAD=/nonexistent.so PATH=/evil:/bin GIT_SSH_COMMAND=/evil HTTPS_PROXY=http://127.0.0.1:9 \
         SSL_CERT_FILE=/evil CROZE_ROOT=/evil DOCKER_CONFIG=/evil\nLABEL run=/evil\n",
    );
    let registry = Registry::start();
    let base = format!("{}/base:1", registry.host());
    lab.build(&["-t", &base, "--push"]);
    lab.write("Dockerfile", &format!("FROM {base}\nCOPY Dockerfile /\n"));
    let pushed = format!("{}/app:1", registry.host());
    lab.build(&["-t", &pushed, "--push"]);
}

#[test]
fn a_registry_may_be_found_elsewhere_by_option_and_by_configuration() {
    let lab = Lab::new("FROM docker.example/busybox\nCOPY Dockerfile /\n");
    let rule = format!("docker.example={}", base_registry());
    lab.build(&["--registry-map", &rule]);
    lab.build(&["--no-cache", "--pull", "--registry-mirror", &rule]);
    lab.croze(&["build", "context", "--pull", "--registry-map", "docker.example"])
        .fails(2, &["--registry-map", "REGISTRY[/PATH]=OTHER[/PATH]"]);

    let file = lab.path().join("registries.conf");
    let text = |location: &str| format!("[[registry]]\nprefix = \"docker.example\"\nlocation = \"{location}\"\n");
    fs::write(&file, text(base_registry())).unwrap();
    let named = file.display().to_string();
    lab.build(&["--no-cache", "--pull", "--registry-config", &named]);
    let variable = format!("CONTAINERS_REGISTRIES_CONF={named}");
    let build = ["build", "--no-cache", "--pull", "context"];
    let output = lab.command_with(&[&variable], &build).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    fs::write(&file, text(base_registry()) + "blocked = true\n").unwrap();
    lab.croze(&["build", "--pull", "context", "--registry-config", &named])
        .fails(7, &["docker.example", "is blocked"]);
    fs::write(&file, "[[registry]]\nprefix = 5\n").unwrap();
    lab.croze(&["build", "context", "--registry-config", &named])
        .fails(2, &["registries.conf", "line 2"]);
}

#[test]
fn u11_a_layer_that_holds_more_than_allowed_is_refused() {
    let lab = Lab::new("FROM BASE/busybox\nRUN head -c 67108864 /dev/zero | tr '\\0' x > /bomb\n");
    let registry = Registry::start();
    let base = format!("{}/bomb:1", registry.host());
    lab.build(&["-t", &base, "--push"]);
    lab.write("Dockerfile", &format!("FROM {base}\nRUN true\n"));
    let root = format!("--root={}", lab.path().join("home/other").display());
    let build = |limit: &str| lab.croze(&[&root, "build", "context", "--max-layer-size", limit]);
    build("16m").fails(8, &["longer than 16777216 bytes"]);
    build("x").fails(2, &["--max-layer-size"]);
    assert_eq!(build("128m").code, 0);
}

/// Writes a layout whose one layer is a file of 1.5 GiB, out of a blob of 1.5 MiB.
fn bomb(lab: &Lab) -> std::path::PathBuf {
    const MEMBER: u64 = 64 << 20;
    const MEMBERS: u64 = 24;
    let layout = layout(lab);
    let mut header = tar::Header::new_gnu();
    header.set_path("bomb").unwrap();
    header.set_size(MEMBER * MEMBERS);
    header.set_mode(0o644);
    header.set_cksum();
    let compressed = |content: &mut dyn Read| {
        let mut packed = Vec::new();
        let mut encoder = flate2::read::GzEncoder::new(content, flate2::Compression::default());
        encoder.read_to_end(&mut packed).unwrap();
        packed
    };
    // As many members as one likes are one stream.
    let head = compressed(&mut header.as_bytes().as_slice());
    let member = compressed(&mut std::io::repeat(b'x').take(MEMBER));
    let tail = compressed(&mut std::io::repeat(0).take(1024));
    let packed = [head, member.repeat(MEMBERS as usize), tail].concat();
    let digest = registry::oci::Digest::of(&packed).to_string();
    fs::write(layout.join("blobs").join(digest.replace(':', "/")), &packed).unwrap();

    let mut index = read(&layout.join("index.json"));
    let mut manifest = read(&blob(&layout, &index["manifests"][0]["digest"]));
    let mut config = read(&blob(&layout, &manifest["config"]["digest"]));
    // Nobody gets as far as to find out that it is another.
    config["rootfs"]["diff_ids"] = serde_json::json!([format!("sha256:{}", "0".repeat(64))]);
    config["history"] = serde_json::json!([]);
    let (config, size) = put(&layout, &config);
    (manifest["config"]["digest"], manifest["config"]["size"]) = (config.into(), size.into());
    manifest["layers"] = serde_json::json!([{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
        "digest": digest, "size": packed.len()}]);
    let (manifest, size) = put(&layout, &manifest);
    (index["manifests"][0]["digest"], index["manifests"][0]["size"]) = (manifest.into(), size.into());
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    sh(&format!("chmod -R a+rX {}", layout.display()));
    layout
}

#[test]
fn u11_a_layer_that_grows_out_of_all_proportion_or_would_fill_the_disk_is_refused() {
    let lab = Lab::new("FROM bomb\nRUN true\n");
    let layout = bomb(&lab);
    let context = format!("bomb=oci-layout://{}:1", layout.display());
    let build = |words: &[&str]| lab.croze(&[&["build", "context", "--build-context", &context], words].concat());
    let refused = build(&[]);
    refused.fails(
        8,
        &["`bomb`", "more than 200 times its compressed size", "--max-layer-ratio"],
    );
    // Whoever trusts it may have it, as long as there is space.
    let full = build(&["--max-layer-ratio=2000", "--min-free=1000t"]);
    full.fails(10, &["`bomb`", "of the file system free", "--min-free"]);
    build(&["--max-layer-ratio=0"]).fails(2, &["--max-layer-ratio"]);
    let left = sh(&format!("du -sm {}/state | cut -f1", lab.path().display()));
    assert!(left.trim().parse::<u64>().unwrap() < 50, "{left} MiB are left");
}
