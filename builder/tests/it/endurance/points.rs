//! A death, or an error, at each point that the sources name (`fault`): none is forgotten, because they are read from there,
//! and one that this build does not reach fails the test.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::length;
use super::rig::Rig;
use crate::harness::{Outcome, sh, workspace};

/// Returns the points of the workspace.
fn points() -> BTreeSet<String> {
    fn collect(directory: &Path, found: &mut BTreeSet<String>) {
        for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let calls = text.split("fault::point(").skip(1);
                found.extend(calls.map(|call| {
                    let name = call.strip_prefix('"').and_then(|rest| rest.split_once("\")"));
                    name.unwrap_or_else(|| panic!("{}: a point has no literal name", path.display()))
                        .0
                        .to_owned()
                }));
            }
        }
    }
    let mut found = BTreeSet::new();
    for part in ["registry/src", "snapshotter/src", "builder/src"] {
        collect(&workspace().join(part), &mut found);
    }
    assert!(found.len() > 30, "{found:?}");
    found
}

/// An output in a format of its own, whose blobs nobody wants here: its layers are sent while they are packed.
const PUSHED: &str = "--output=type=image,push=true,rewrite-timestamp=true,compression=zstd";

/// A rig whose store has something to collect and the leavings of a killed build, as often as one likes.
struct Scene {
    rig: Rig,
    expected: String,
    /// Pushed tags are new each time, or nothing is pushed.
    pushed: usize,
}

impl Scene {
    fn new() -> Self {
        let rig = Rig::new();
        // Of two images, what is told is the digest of the pushed one.
        let expected = rig.digest(&["--tag=BASE/endurance/expected:1", PUSHED]);
        sh(&format!(
            "rm -rf {0} && install -d -o croze-ci {0}",
            rig.state.display()
        ));
        rig.dockerfile("FROM BASE/busybox\nRUN head -c 3000000 /dev/zero > /old\n");
        rig.digest(&[]);
        rig.dockerfile("FROM BASE/busybox\nRUN --mount=type=cache,id=left,target=/l : MARK; echo left > /left\n");
        let killed = rig.build(&["CROZE_FAULT=snapshot.rename:1:kill"], &[]);
        assert_eq!(killed.code, 137, "{}", killed.stderr);
        rig.own_dockerfile();
        let scene = Self {
            rig,
            expected,
            pushed: 0,
        };
        sh(&format!("cp -a {0} {0}.kept", scene.rig.state.display()));
        scene.rig.settle();
        scene
    }

    /// Builds from the beginning with a fault, and once more without.
    fn disturb(&mut self, fault: &str) -> Outcome {
        let state = self.rig.state.display();
        sh(&format!(
            "rm -rf {state} {0}/cache && cp -a {state}.kept {state}",
            self.rig.lab.path().display()
        ));
        self.pushed += 1;
        let name = self
            .rig
            .lab
            .path()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .replace('-', "")
            .to_lowercase();
        let tag = format!("--tag=BASE/endurance/{name}:{}", self.pushed);
        let more = [
            &tag,
            PUSHED,
            "--cache-to=type=local,dest=cache",
            "--max-size=5m",
            "--min-free=0",
        ];
        let disturbed = self.rig.build(&[&format!("CROZE_FAULT={fault}")], &more);
        self.rig.recovers(&self.expected, &more, fault);
        disturbed
    }
}

/// Does something with every point, two at a time.
fn at_every_point(act: impl Fn(&mut Scene, &str) + Sync) {
    let (points, next) = (points(), AtomicUsize::new(0));
    let points: Vec<String> = points.into_iter().collect();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut scene = Scene::new();
                while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    act(&mut scene, point);
                }
            });
        }
    });
}

#[test]
fn a_build_that_is_killed_at_any_point_leaves_a_store_that_works() {
    let most = length(1, 12);
    let kills = AtomicUsize::new(0);
    at_every_point(|scene, point| {
        for nth in 1..=most {
            let outcome = scene.disturb(&format!("{point}:{nth}:kill"));
            if outcome.code != 137 {
                assert_eq!(outcome.code, 0, "{}", outcome.stderr);
                assert!(nth > 1, "`{point}` was not reached:\n{}", outcome.stderr);
                break;
            }
            kills.fetch_add(1, Ordering::Relaxed);
        }
    });
    println!("{} points, {kills:?} kills", points().len());
}

#[test]
fn an_error_at_any_point_is_said_or_does_no_harm() {
    let most = length(1, 4);
    // What the machine lacks is told by its exit code; a disk that is broken is something else.
    for (errno, said) in [("enospc", "no space left"), ("eio", "input/output error")] {
        if errno == "eio" && length(1, 2) == 1 {
            continue;
        }
        at_every_point(|scene, point| {
            for nth in 1..=most {
                let outcome = scene.disturb(&format!("{point}:{nth}:{errno}"));
                let is_said = outcome.stderr.to_lowercase().contains(said);
                match (outcome.code, errno) {
                    (0, _) => {}
                    (10, "enospc") | (5 | 6 | 9, "eio") => assert!(is_said, "{point}:\n{}", outcome.stderr),
                    (code, _) => panic!("{point}:{nth}:{errno} ended with {code}:\n{}", outcome.stderr),
                }
                assert!(!outcome.stderr.contains("panicked"), "{point}:\n{}", outcome.stderr);
            }
        });
    }
}
