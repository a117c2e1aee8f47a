//! The store stays within its bounds, and nothing that a build needs is removed while it runs.

use std::fs;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::harness::{Lab, Outcome, sh};

/// Returns what the store takes, in bytes, as `croze du` has it.
fn size(lab: &Lab) -> u64 {
    let usage = lab.croze(&["du", "--format=json"]);
    assert_eq!(usage.code, 0, "{}", usage.stderr);
    let usage: Value = serde_json::from_str(&usage.stdout).unwrap();
    usage["bytes"].as_u64().unwrap()
}

/// A Dockerfile with two layers of some megabytes that no other number has.
fn dockerfile(number: usize) -> String {
    format!(
        "FROM BASE/busybox\nRUN head -c 3000000 /dev/urandom > /one && echo {number}\nRUN head -c 3000000 /dev/urandom > /two\n"
    )
}

#[test]
fn the_store_is_within_its_bound_after_every_build() {
    let lab = Lab::new("");
    let mut sizes = Vec::new();
    for number in 0..5 {
        lab.write("Dockerfile", &lab.fill(&dockerfile(number)));
        lab.build(&["--max-size=20m", "-t", "app"]);
        sizes.push(size(&lab));
    }
    assert!(sizes.iter().all(|size| *size <= 20 << 20), "{sizes:?}");
    let last = lab.build(&["--max-size=20m"]).stderr;
    assert_eq!(
        last.matches("CACHED").count(),
        2,
        "what was used last is there:\n{last}"
    );
    lab.write("Dockerfile", &lab.fill(&dockerfile(0)));
    let plan = lab.croze(&["build", "--plan", "context"]);
    assert_eq!(plan.code, 11, "what was not used is gone: {}", plan.stdout);
}

#[test]
fn a_build_larger_than_the_bound_works_and_leaves_little() {
    let lab = Lab::new(&dockerfile(0));
    let out = lab.build_files(&["--max-size=1m"]);
    assert_eq!(fs::metadata(out.join("two")).unwrap().len(), 3_000_000);
    assert!(size(&lab) <= 1 << 20, "{} bytes", size(&lab));
    lab.build(&["--max-size=1m"]);
}

#[test]
fn a_dry_run_says_what_a_prune_then_does_and_a_full_one_leaves_nothing() {
    // Files of an id other than the user's own, in directories that refuse even their owner.
    let lab = Lab::new(
        "FROM BASE/busybox\nRUN --mount=type=cache,target=/c mkdir -p /c/d /e && touch /c/d/f /e/f && \
         chown -R 1000:1000 /c/d /e && chmod 0 /c/d /e\n",
    );
    lab.build(&["-t", "app"]);
    let prune = |words: &[&str]| {
        let outcome = lab.croze(&[&["prune", "--format=json"], words].concat());
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        serde_json::from_str::<Value>(&outcome.stdout).unwrap()
    };
    let foreseen = prune(&["--dry-run", "--filter", "type=exec.cachemount"]);
    assert!(foreseen["bytes"].as_u64().unwrap() > 0);
    assert!(foreseen["classes"].get("snap").is_none(), "{foreseen}");
    assert_eq!(prune(&["--filter", "type=exec.cachemount"]), foreseen);
    assert_eq!(prune(&["--filter", "type=mounts"])["bytes"], 0);
    assert_eq!(prune(&["--filter", "until=1h"])["bytes"], 0, "all of it is young");
    assert_eq!(prune(&["--max-size=1g"])["bytes"], 0);
    lab.croze(&["prune", "--filter", "type=nothing"])
        .fails(2, &["there is no such type"]);
    assert_eq!(prune(&["--all", "--dry-run"])["bytes"], prune(&["--all"])["bytes"]);
    let left = sh(&format!(
        "find {}/state/v1 -type f -printf '%f\\n' | sort",
        lab.path().display()
    ));
    assert_eq!(left, "lock\nsizes\nsweep\nsweeper\n");
    let directories = sh(&format!(
        "find {}/state/v1 -mindepth 2 -type d | wc -l",
        lab.path().display()
    ));
    assert_eq!(directories.trim(), "3", "blobs/sha256 and the two of the snapshots");
}

fn start(lab: &Lab, words: &[&str]) -> Child {
    let mut command = lab.command(words);
    let command = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Eight processes build the same and other things while everything that nobody uses is removed all the time.
#[test]
fn builds_beside_prunes_never_miss_what_they_rely_on() {
    let lab = Lab::new("");
    for project in 0..4 {
        lab.write(
            &format!("{project}.Dockerfile"),
            &lab.fill(&format!(
                "FROM BASE/busybox AS made\nRUN echo {project} > /made\nRUN --mount=type=cache,target=/c echo x >> /c/x; cp /made /more\n\
                 FROM BASE/busybox\nCOPY --from=made /made /more /\nRUN cat /made /more > /all\n"
            )),
        );
    }
    for round in 0..2 {
        let builds = (0..8).map(|number| {
            let (file, out) = (format!("context/{}.Dockerfile", number % 4), format!("out-{number}"));
            let bound = if round == 0 { "--max-size=0" } else { "--max-size=1g" };
            start(
                &lab,
                &["build", "--progress=plain", bound, "-f", &file, "-o", &out, "context"],
            )
        });
        let builds: Vec<Child> = builds.collect();
        let (done, pruner) = (std::sync::atomic::AtomicBool::new(false), &lab);
        let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let pruned = pruner.croze(&["prune", "--all"]);
                    assert!([0, 12].contains(&pruned.code), "{}", pruned.stderr);
                    std::thread::sleep(std::time::Duration::from_millis(50));
                }
            });
            let ended = builds
                .into_iter()
                .map(|build| Outcome::of(build.wait_with_output().unwrap()))
                .collect();
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            ended
        });
        for (number, outcome) in outcomes.iter().enumerate() {
            assert_eq!(outcome.code, 0, "{}", outcome.stderr);
            let all = fs::read_to_string(lab.path().join(format!("out-{number}/all"))).unwrap();
            assert_eq!(all, format!("{0}\n{0}\n", number % 4));
        }
    }
}
