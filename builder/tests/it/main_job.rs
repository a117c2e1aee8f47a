//! The main job: a real application, built without root or daemon, pushed to a real registry, and run by
//! somebody else's tools.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{Lab, base_registry, sh, workspace};

/// The demonstration application in a lab of its own, with the tag that it is pushed to.
fn application(name: &str) -> (Lab, String) {
    let lab = Lab::new("");
    let source = workspace().join("testdata/app");
    for file in [
        "Dockerfile",
        ".dockerignore",
        "Makefile",
        "server.c",
        "public/index.html",
    ] {
        lab.write(file, &fs::read_to_string(source.join(file)).unwrap());
    }
    (lab, format!("{}/{name}:1", base_registry()))
}

fn build_and_push(lab: &Lab, tag: &str) -> String {
    lab.build(&["--build-arg", "BASE=BASE/debian", "-t", tag, "--push"])
        .stderr
}

fn digest(tag: &str) -> String {
    sh(&format!(
        "skopeo inspect --tls-verify=false --format '{{{{.Digest}}}}' docker://{tag}"
    ))
}

/// Unpacks an image of a registry with umoci and returns the bundle.
pub(crate) fn unpack(lab: &Lab, tag: &str) -> PathBuf {
    let (layout, bundle) = (lab.path().join("layout"), lab.path().join("bundle"));
    sh(&format!(
        "skopeo copy -q --src-tls-verify=false docker://{tag} oci:{}:image",
        layout.display()
    ));
    sh(&format!(
        "umoci unpack --image {}:image {} 2>&1",
        layout.display(),
        bundle.display()
    ));
    bundle
}

/// Runs a command in a bundle with crun and returns what it printed.
///
/// In a mount namespace with cgroups of version 2 alone: crun refuses the mixed hierarchy of older machines.
pub(crate) fn run(bundle: &Path, script: &str) -> String {
    let config = bundle.join("config.json");
    let mut json: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
    json["process"]["terminal"] = false.into();
    json["process"]["args"] = serde_json::json!(["/bin/sh", "-c", script]);
    json["process"]["rlimits"] = serde_json::json!([]);
    json["linux"].as_object_mut().unwrap().remove("resources");
    fs::write(&config, serde_json::to_vec(&json).unwrap()).unwrap();
    let id = format!(
        "croze-it-{}-{}",
        std::process::id(),
        bundle.parent().unwrap().file_name().unwrap().display()
    );
    sh(&format!(
        "unshare --mount sh -c 'umount -R /sys/fs/cgroup 2> /dev/null; mount -t cgroup2 none /sys/fs/cgroup; \
         exec crun --cgroup-manager=disabled run --bundle {} {id}' 2>&1",
        bundle.display()
    ))
}

#[test]
fn a_real_application_is_built_by_an_unprivileged_user_pushed_and_run() {
    let (lab, tag) = application("application");
    let built = build_and_push(&lab, &tag);
    let pushed = format!("pushing manifest for {tag}@{} done\n", digest(&tag).trim());
    assert!(built.contains(&pushed), "{built}");
    let config: Value = serde_json::from_str(&sh(&format!(
        "skopeo inspect --tls-verify=false --config docker://{tag}"
    )))
    .unwrap();
    assert_eq!(config["config"]["User"], "web");
    assert_eq!(config["config"]["Entrypoint"][0], "/usr/local/bin/server");
    assert_eq!(config["config"]["Labels"]["org.opencontainers.image.version"], "dev");
    assert!(config["config"]["ExposedPorts"]["8080/tcp"].is_object());
    assert_eq!(config["config"]["WorkingDir"], "/srv/public");

    let bundle = unpack(&lab, &tag);
    let root = bundle.join("rootfs").display().to_string();
    assert_eq!(
        sh(&format!("stat -c '%u:%g %a' {root}/usr/local/bin/server")),
        "10001:10001 555\n"
    );
    assert!(
        sh(&format!("getcap {root}/usr/bin/ping")).contains("cap_net_raw"),
        "a file capability was lost"
    );
    assert!(!Path::new(&root).join("srv/public/Dockerfile").exists());
    let printed = run(&bundle, "id -un; server --once & sleep 0.5; server --check");
    assert!(
        printed.contains("web") && printed.contains("Built without root"),
        "{printed}"
    );

    // The same again does nothing and gives the same image.
    let first = digest(&tag);
    let again = build_and_push(&lab, &tag);
    assert!(again.contains("RUN make\n") && again.contains("CACHED"), "{again}");
    assert!(!again.contains("cc -O2"), "make must not have run again:\n{again}");
    assert_eq!(digest(&tag), first);
    let found = format!("finding manifest of {tag}@{} in its registry done\n", first.trim());
    assert!(again.contains(&found), "{again}");

    // A changed source is compiled again, what does not depend on it is not done again.
    let source = fs::read_to_string(lab.context("server.c")).unwrap();
    lab.write("server.c", &source.replace("text/html", "text/plain"));
    let changed = build_and_push(&lab, &tag);
    assert!(
        changed.contains("cc -O2") && !changed.contains("Unpacking iputils-ping"),
        "{changed}"
    );
    assert_ne!(digest(&tag), first);
}

#[test]
fn what_is_in_the_registry_already_is_not_pulled_or_pushed() {
    let lab = Lab::new("FROM BASE/busybox\nCMD [\"true\"]\n");
    let tag = format!("{}/lazy:1", base_registry());
    lab.build(&["-t", &tag, "--push"]);
    let blobs = sh(&format!(
        "find {}/state -path '*/blobs/*' -type f -size +100k",
        lab.path().display()
    ));
    assert_eq!(blobs, "", "no step looks into the base, so its layers need not be here");
    assert_eq!(
        sh(&format!(
            "skopeo inspect --tls-verify=false --format '{{{{.Layers}}}}' docker://{tag}"
        )),
        sh(&format!(
            "skopeo inspect --tls-verify=false --format '{{{{.Layers}}}}' docker://{}/busybox",
            base_registry()
        ))
    );
}

#[test]
fn an_image_from_scratch_has_just_its_files() {
    let lab = Lab::new("FROM scratch\nCOPY hello /bin/hello\nENV A=b\n");
    lab.write("hello", "hello\n");
    let tag = format!("{}/scratch:1", base_registry());
    lab.build(&["-t", &tag, "--push"]);
    let bundle = unpack(&lab, &tag);
    assert_eq!(
        sh(&format!("cd {}/rootfs && find . -type f", bundle.display())),
        "./bin/hello\n"
    );
}

#[test]
fn a_stage_takes_files_from_another_and_the_target_ends_the_build() {
    let lab = Lab::new(
        "FROM BASE/busybox AS one\nRUN echo one > /file\n\
         FROM BASE/busybox AS two\nCOPY --from=one /file /file\nRUN echo two >> /file\n\
         FROM BASE/busybox AS three\nRUN false\n",
    );
    let out = lab.build_files(&["--target", "two"]);
    assert_eq!(fs::read_to_string(out.join("file")).unwrap(), "one\ntwo\n");
}

#[test]
fn ten_stages_that_sleep_a_second_take_little_more_than_one() {
    let stages: String = (0..10)
        .map(|n| format!("FROM BASE/busybox AS s{n}\nRUN sleep 1; echo {n} > /{n}\n"))
        .collect();
    let copies: String = (0..10).map(|n| format!("COPY --from=s{n} /{n} /{n}\n")).collect();
    let lab = Lab::new(&format!("{stages}FROM scratch\n{copies}"));
    let begun = std::time::Instant::now();
    let out = lab.build_files(&[]);
    assert!(begun.elapsed().as_secs_f64() < 3.0, "{:?}", begun.elapsed());
    assert_eq!(fs::read_dir(out).unwrap().count(), 10);
}

#[test]
fn equal_steps_of_two_stages_run_once() {
    let lab = Lab::new(
        "FROM BASE/busybox AS one\nRUN cat /proc/sys/kernel/random/uuid > /id\n\
         FROM BASE/busybox AS two\nRUN cat /proc/sys/kernel/random/uuid > /id\n\
         FROM scratch\nCOPY --from=one /id /one\nCOPY --from=two /id /two\n",
    );
    let out = lab.build_files(&[]);
    assert_eq!(fs::read(out.join("one")).unwrap(), fs::read(out.join("two")).unwrap());
}
