//! A cache that is damaged, gone or something else: the build goes on without it.

use std::fs;
use std::time::Duration;

use super::{Machines, UNIQUE, manifest, stored, tags};
use crate::harness::Registry;

/// A Dockerfile whose result is always the same.
const STEADY: &str = "FROM BASE/busybox\nRUN echo one > /one\nRUN cat /one /one > /two\n";
const RESULT: &str = "one\none\n";

/// Exports a cache and returns its name and its registry's.
fn exported(machines: &Machines, registry: &Registry) -> (String, String) {
    let repository = format!("{}/app", registry.host());
    let cache = format!("{repository}:cache");
    machines.build("one", &["--cache-to", &cache]);
    (cache, repository)
}

/// Returns the manifests of all entries, and their own digests.
fn entries(repository: &str) -> Vec<(serde_json::Value, String)> {
    let tags = tags(repository).into_iter().filter(|tag| tag.starts_with("cache-"));
    let read = |tag: String| {
        let tag = format!("{repository}:{tag}");
        (manifest(&tag), super::digest(&tag))
    };
    tags.map(read).collect()
}

#[test]
fn a_damaged_layer_is_made_again() {
    let damages: [fn(&std::path::Path); 2] = [
        |path| {
            let mut bytes = fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        },
        |path| fs::remove_file(path).unwrap(),
    ];
    for damage in damages {
        let registry = Registry::start();
        let machines = Machines::new(STEADY);
        let (cache, repository) = exported(&machines, &registry);
        let longest = entries(&repository)
            .into_iter()
            .max_by_key(|(entry, _)| entry["layers"].as_array().unwrap().len());
        let (longest, _) = longest.unwrap();
        damage(&stored(&registry, longest["layers"][1]["digest"].as_str().unwrap()));
        // The registry keeps the content that it has under a digest, wrong or not. Another time makes
        // another layer.
        std::thread::sleep(Duration::from_millis(1100));
        let both = ["--cache-from", &cache, "--cache-to", &cache];
        let shown = machines.files("two", &both);
        assert_eq!(machines.read("two", "two"), RESULT);
        assert!(
            shown.contains("warning: layer `sha256:") && shown.contains("cannot be used"),
            "{shown}"
        );
        // What was made again takes the place of what is damaged.
        let (plan, nothing_runs) = machines.plan("three", &["--cache-from", &cache]);
        assert!(nothing_runs, "{plan}");
        let shown = machines.files("three", &["--cache-from", &cache]);
        assert_eq!(machines.read("three", "two"), RESULT);
        assert!(!shown.contains("warning"), "{shown}");
    }
}

#[test]
fn a_layer_that_is_damaged_when_the_image_is_pushed_is_made_again() {
    let (registry, other) = (Registry::start(), Registry::start());
    let machines = Machines::new(STEADY);
    let (cache, repository) = exported(&machines, &registry);
    for (entry, _) in entries(&repository) {
        for layer in entry["layers"].as_array().unwrap() {
            let _removed_before = fs::remove_file(stored(&registry, layer["digest"].as_str().unwrap()));
        }
    }
    let tag = format!("{}/app:1", other.host());
    let shown = machines.build("two", &["--cache-from", &cache, "-t", &tag, "--push"]);
    assert!(shown.contains("cannot be used"), "{shown}");
    assert_eq!(manifest(&tag)["layers"].as_array().unwrap().len(), 3);
}

#[test]
fn a_damaged_entry_is_none() {
    let registry = Registry::start();
    let machines = Machines::new(STEADY);
    let (cache, repository) = exported(&machines, &registry);
    for (_, digest) in entries(&repository) {
        let path = stored(&registry, &digest);
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.windows(6).position(|window| window == b"\"data\"").unwrap() + 40;
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
    }
    let shown = machines.files("two", &["--cache-from", &cache]);
    assert_eq!(machines.read("two", "two"), RESULT);
    assert!(
        shown.contains(&format!("the cache `{cache}` has a damaged entry")),
        "{shown}"
    );
}

#[test]
fn what_a_cache_says_is_not_believed_any_more_once_it_is_left_out() {
    let registry = Registry::start();
    let dockerfile = |more: &str| format!("FROM BASE/busybox\nRUN {UNIQUE}\n{more}");
    let machines = Machines::new(&dockerfile(""));
    let (cache, _) = exported(&machines, &registry);
    let theirs = machines.file("two", "unique", &["--cache-from", &cache]);
    // A step of this machine on top of what came from there.
    machines.edit(&dockerfile("RUN cp /unique /copy\n"));
    assert_eq!(machines.file("two", "copy", &["--cache-from", &cache]), theirs);
    let (plan, nothing_runs) = machines.plan("two", &["--cache-from", &cache]);
    assert!(nothing_runs, "{plan}");
    let own = machines.file("two", "copy", &[]);
    assert_ne!(own, theirs);
    assert_eq!(machines.read("two", "unique"), own);
    // What was made in its place is believed by all.
    assert_eq!(machines.file("two", "copy", &[]), own);
    assert_eq!(machines.file("two", "copy", &["--cache-from", &cache]), own);
}

#[test]
fn an_entry_under_the_key_of_another_is_not_believed() {
    let registry = Registry::start();
    let machines = Machines::new(STEADY);
    let (cache, repository) = exported(&machines, &registry);
    let tags: Vec<String> = tags(&repository)
        .into_iter()
        .filter(|tag| tag.starts_with("cache-"))
        .collect();
    // Both keys lead to the entry of the second step.
    let lengths = tags.iter().map(|tag| {
        manifest(&format!("{repository}:{tag}"))["layers"]
            .as_array()
            .unwrap()
            .len()
    });
    let lengths: Vec<usize> = lengths.collect();
    let (longer, shorter) = if lengths[0] > lengths[1] { (0, 1) } else { (1, 0) };
    crate::harness::sh(&format!(
        "skopeo copy -q --preserve-digests --src-tls-verify=false --dest-tls-verify=false \
         docker://{repository}:{} docker://{repository}:{}",
        tags[longer], tags[shorter]
    ));
    machines.edit("FROM BASE/busybox\nRUN echo one > /one\nRUN cat /one > /two\n");
    let shown = machines.files("two", &["--cache-from", &cache]);
    assert_eq!(machines.read("two", "two"), "one\n");
    assert!(shown.contains("has a damaged entry, whose step runs again"), "{shown}");
}

#[test]
fn a_registry_that_is_down_is_only_warned_of() {
    let mut registry = Registry::start();
    let machines = Machines::new(STEADY);
    let (cache, _) = exported(&machines, &registry);
    registry.stop();
    let shown = machines.files("two", &["--cache-from", &cache]);
    assert_eq!(machines.read("two", "two"), RESULT);
    assert!(
        shown.contains(&format!("warning: the cache `{cache}` cannot be imported")),
        "{shown}"
    );
}

#[test]
fn a_failed_export_is_a_warning_unless_it_is_to_fail_the_build() {
    // BK-375
    let mut registry = Registry::start();
    let cache = format!("{}/app:cache", registry.host());
    registry.stop();
    let machines = Machines::new(STEADY);
    let to = |more: &str| format!("type=registry,ref={cache}{more}");
    let said = format!("cannot export the cache to `{cache}`");
    machines
        .croze("one", &["--cache-to", &to(",ignore-error=false")])
        .fails(6, &[&said]);
    let shown = machines.files("two", &["--cache-to", &to("")]);
    assert_eq!(machines.read("two", "two"), RESULT);
    assert!(
        shown.contains(&format!("warning: the cache could not be exported to `{cache}`")),
        "{shown}"
    );
    let file = machines.path("context/Dockerfile").display().to_string();
    let to = |ignore: &str| format!("type=local,dest={file}/cache,ignore-error={ignore}");
    machines
        .croze("one", &["--cache-to", &to("false")])
        .fails(9, &["cannot export the cache"]);
    assert!(
        machines
            .build("one", &["--cache-to", &to("true")])
            .contains("could not be exported")
    );
}

#[test]
fn what_is_no_cache_is_said_to_be_none() {
    let registry = Registry::start();
    let machines = Machines::new(&format!("FROM BASE/busybox\nRUN {UNIQUE}\n"));
    let image = format!("{}/app:1", registry.host());
    let to = format!("type=registry,ref={image},ignore-error=false");
    machines.push("one", &image, &[]);
    let shown = machines.build("two", &["--cache-from", &image]);
    assert!(shown.contains("is an image without a cache"), "{shown}");
    // An image is not overwritten by a cache.
    machines
        .croze("one", &["--cache-to", &to])
        .fails(2, &["is an image, not a cache of croze"]);
    let absent = format!("{}/none:cache", registry.host());
    let shown = machines.build("two", &["--cache-from", &absent]);
    assert!(
        shown.contains(&format!("ERROR: `{absent}` does not exist")) && !shown.contains("warning"),
        "{shown}"
    );
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let machines = Machines::new(STEADY);
    for (option, value, said) in [
        (
            "--cache-to",
            "type=azblob,name=b",
            "there are `registry`, `local`, `inline`, `s3` and `gha`",
        ),
        (
            "--cache-from",
            "type=gha",
            "`url_v2` is missing, and so is `$ACTIONS_RESULTS_URL`",
        ),
        (
            "--cache-to",
            "type=registry,ref=a,mode=all",
            "`mode` must be `min` or `max`",
        ),
        ("--cache-to", "type=registry,ref=a,modes=max", "did you mean `mode`?"),
        (
            "--cache-to",
            "type=inline,mode=max",
            "`type=inline,mode=max` is not supported",
        ),
        ("--cache-from", "type=inline", "type=registry,ref=IMAGE"),
    ] {
        machines.croze("one", &[option, value]).fails(2, &[said]);
    }
}
