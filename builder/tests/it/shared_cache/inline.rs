//! A cache in the image itself.

use super::{Machines, UNIQUE, digest};
use crate::harness::Registry;

#[test]
fn an_image_of_several_platforms_is_the_same_again_and_again() {
    // BK-196
    let registry = Registry::start();
    let machines = Machines::new(&format!(
        "FROM --platform=$BUILDPLATFORM BASE/busybox AS build\nARG TARGETARCH\nRUN {UNIQUE} && echo $TARGETARCH\n\
         FROM scratch\nCOPY --from=build /unique /\n"
    ));
    let tag = format!("{}/app:1", registry.host());
    let platforms = ["--platform", "linux/amd64,linux/arm/v7", "--cache-to", "type=inline"];
    let first = machines.push("one", &tag, &platforms);
    let from = ["--cache-from", &tag];
    for machine in ["two", "three"] {
        let again = machines.push(machine, &tag, &[&platforms[..], &from].concat());
        assert_eq!(again, first);
    }
    machines.files("four", &[&platforms[..2], &from].concat());
    let unique = ["linux_amd64", "linux_arm_v7"].map(|platform| machines.read("four", &format!("{platform}/unique")));
    assert_ne!(unique[0], unique[1]);
}

#[test]
fn steps_up_to_a_change_are_found_in_an_image() {
    let registry = Registry::start();
    let dockerfile = |word: &str| format!("FROM BASE/busybox\nRUN {UNIQUE}\nRUN echo {word} > /word\n");
    let machines = Machines::new(&dockerfile("one"));
    let tag = format!("{}/app:1", registry.host());
    machines.push("one", &tag, &["--build-arg", "BUILDKIT_INLINE_CACHE=1"]);
    let first = machines.file("one", "unique", &[]);
    machines.edit(&dockerfile("two"));
    assert_eq!(
        machines.file("two", "unique", &["--cache-from", &format!("type=registry,ref={tag}")]),
        first
    );
    let pinned = format!("{}@sha256:{}", tag.trim_end_matches(":1"), digest(&tag));
    assert_eq!(machines.file("three", "unique", &["--cache-from", &pinned]), first);
}

#[test]
fn what_was_made_without_the_cache_is_found_in_an_image() {
    let registry = Registry::start();
    let machines = Machines::new(&format!(
        "FROM BASE/busybox AS build\nRUN {UNIQUE}\nFROM scratch\nCOPY --from=build /unique /\n"
    ));
    let tag = format!("{}/app:1", registry.host());
    machines.push("one", &tag, &["--no-cache", "--cache-to", "type=inline"]);
    assert!(machines.plan("two", &["--cache-from", &tag]).1);
}
