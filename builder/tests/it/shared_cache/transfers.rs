//! What is transferred: only what somebody needs.

use super::{Machines, UNIQUE};
use crate::harness::Registry;

const LARGE: &str = "head -c 200000 /dev/urandom > /large";

#[test]
fn an_image_is_pushed_without_being_fetched() {
    let registry = Registry::start();
    let machines = Machines::new(&format!("FROM BASE/busybox\nRUN {LARGE}\nRUN {UNIQUE}\n"));
    let (tag, cache) = (
        |name: &str| format!("{}/{name}:1", registry.host()),
        format!("{}/cache:app", registry.host()),
    );
    let digest = machines.push("one", &tag("first"), &["--cache-to", &cache]);
    // Into the cache's repository, and into another one of the same registry.
    for name in ["cache", "second"] {
        assert_eq!(machines.push("two", &tag(name), &["--cache-from", &cache]), digest);
    }
    let (_, snapshots) = machines.holds("two");
    assert_eq!(snapshots, 0);
    let of_base = machines.path("two/v1/blobs");
    let large = crate::harness::sh(&format!("find {} -type f -size +150k | wc -l", of_base.display()));
    // The base is in another registry, from where it has to be brought.
    assert_eq!(large.trim(), "1");
}

#[test]
fn an_image_is_pushed_to_another_registry_than_that_of_the_cache() {
    let (registry, other) = (Registry::start(), Registry::start());
    let machines = Machines::new(&format!("FROM BASE/busybox\nRUN {LARGE}\nRUN {UNIQUE}\n"));
    let cache = format!("{}/cache:app", registry.host());
    let digest = machines.push("one", &format!("{}/app:1", registry.host()), &["--cache-to", &cache]);
    let elsewhere = format!("{}/app:1", other.host());
    assert_eq!(machines.push("two", &elsewhere, &["--cache-from", &cache]), digest);
    assert_eq!(machines.holds("two").1, 0);
}

#[test]
fn only_layers_whose_files_are_seen_are_fetched() {
    let registry = Registry::start();
    let dockerfile = |last: &str| {
        format!(
            "FROM BASE/busybox AS unused\nRUN {LARGE}\nFROM BASE/busybox AS used\nRUN {UNIQUE}\n\
             FROM scratch\nCOPY --from=unused /large /\nCOPY --from=used /unique /copy\nCOPY --from=used {last}\n"
        )
    };
    let machines = Machines::new(&dockerfile("/etc/passwd /"));
    let cache = format!("{}/app:cache", registry.host());
    let to = format!("type=registry,ref={cache},mode=max");
    machines.build("one", &["--cache-to", &to]);
    machines.edit(&dockerfile("/etc/group /"));
    let tag = format!("{}/app:1", registry.host());
    machines.push("two", &tag, &["--cache-from", &cache]);
    // The last copy reads the stage `used` and lies on the two copies before it; `unused` stays where it is.
    let shown = machines.path("two/v1/snap");
    let snapshots = crate::harness::sh(&format!("ls {} | grep -c ^diff-", shown.display()));
    assert_eq!(snapshots.trim(), "3");
}

#[test]
fn an_image_that_is_kept_or_written_out_has_its_layers() {
    let registry = Registry::start();
    let machines = Machines::new(&format!("FROM BASE/busybox\nRUN {UNIQUE}\n"));
    let cache = format!("{}/app:cache", registry.host());
    let first = machines.file("one", "unique", &["--cache-to", &cache]);
    machines.build("two", &["--cache-from", &cache, "-t", "kept:1"]);
    machines.build("three", &["--cache-from", &cache, "-o", "type=oci,dest=image.tar"]);
    drop(registry);
    let second = Machines::new("FROM kept:1\nRUN cp /unique /copy\n");
    let root = machines.path("two").display().to_string();
    // The base of the base is in a registry that is still there.
    let out = machines.path("kept").display().to_string();
    second.build(&root, &["-o", &out]);
    assert_eq!(
        std::fs::read_to_string(machines.path("kept").join("copy")).unwrap(),
        first
    );
    let layers = crate::harness::sh(&format!(
        "cd {}; tar -tf image.tar | grep -c 'blobs/sha256/.'",
        machines.path("").display()
    ));
    assert_eq!(layers.trim(), "4");
}

#[test]
fn steps_that_change_nothing_are_imported_as_one_layer_and_built_upon() {
    let dockerfile = |last: &str| format!("FROM BASE/busybox\nRUN true\nRUN :\nRUN echo {last} > /last\n");
    let machines = Machines::new(&dockerfile("one"));
    machines.build("one", &["--cache-to", "type=local,dest=shared,mode=max"]);
    machines.edit(&dockerfile("two"));
    let said = machines.files("two", &["--cache-from", "type=local,src=shared"]);
    assert_eq!(said.matches("CACHED").count(), 2, "{said}");
    assert_eq!(machines.read("two", "last"), "two\n");
}

#[test]
fn keys_without_content_are_part_of_a_whole_store() {
    let machines = Machines::new(&format!(
        "FROM BASE/busybox AS build\nRUN {UNIQUE}\nFROM scratch\nCOPY --from=build /unique /\n"
    ));
    // What was made without the cache has a key of its own, which others can only be told.
    machines.build("one", &["--no-cache", "--cache-to", "type=local,dest=shared"]);
    let from = ["--cache-from", "type=local,src=shared"];
    machines.files("two", &from);
    let verified = machines.lab.croze(&["--root", "two", "verify"]);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    // Nor does a collection take them for damage: without the cache the rest is still found by them.
    machines.build("two", &["--max-size", "1g"]);
    assert!(machines.plan("two", &[]).1);
}
