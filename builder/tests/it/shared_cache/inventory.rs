//! `croze cache ls` and `croze cache prune`.

use serde_json::Value;

use super::{Machines, tags};
use crate::harness::{Outcome, Registry};

const DOCKERFILE: &str = "FROM BASE/busybox\nRUN echo one > /one\nRUN cat /one /one > /two\n";

fn json(outcome: &Outcome) -> Value {
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    serde_json::from_str(&outcome.stdout).unwrap()
}

#[test]
fn the_entries_of_one_cache_are_listed_and_removed() {
    let registry = Registry::start();
    let repository = format!("{}/app", registry.host());
    let (cache, other) = (format!("{repository}:cache"), format!("{repository}:other"));
    let machines = Machines::new(DOCKERFILE);
    machines.build("one", &["--cache-to", &cache, "--cache-to", &other]);
    let listed = json(&machines.lab.croze(&["cache", "ls", "--format=json", &cache]));
    let names: Vec<&str> = listed["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["[2/3] RUN echo one > /one", "[3/3] RUN cat /one /one > /two"]);
    let text = machines.lab.croze(&["cache", "ls", &cache]).stdout;
    assert!(
        text.contains("RUN echo one") && text.contains("in all, 2 entries"),
        "{text}"
    );

    let prune = |words: &[&str]| {
        machines
            .lab
            .croze(&[&["cache", "prune", "--format=json"], words].concat())
    };
    let count = |outcome: &Outcome| json(outcome)["entries"].as_array().unwrap().len();
    assert_eq!(count(&prune(&["--older-than", "1h", &cache])), 0);
    assert_eq!(count(&prune(&["--dry-run", &cache])), 2);
    assert_eq!(tags(&repository).len(), 6);
    assert_eq!(count(&prune(&[&cache])), 2);
    machines
        .lab
        .croze(&["cache", "ls", &cache])
        .fails(5, &["does not exist"]);
    // The other cache in the same repository is whole.
    assert_eq!(tags(&repository).len(), 3);
    let (plan, nothing_runs) = machines.plan("two", &["--cache-from", &other]);
    assert!(nothing_runs, "{plan}");
    machines.files("two", &["--cache-from", &other]);
}

#[test]
fn a_directory_is_listed_and_pruned_too() {
    let machines = Machines::new(DOCKERFILE);
    machines.build("one", &["--cache-to", "type=local,dest=shared"]);
    let listed = json(&machines.lab.croze(&["cache", "ls", "--format=json", "./shared"]));
    assert_eq!(listed["entries"].as_array().unwrap().len(), 2);
    let pruned = json(
        &machines
            .lab
            .croze(&["cache", "prune", "--format=json", "type=local,src=shared"]),
    );
    assert_eq!(pruned, listed);
    let left = std::fs::read_dir(machines.path("shared/blobs/sha256")).unwrap().count();
    assert_eq!(left, 0);
    assert!(!machines.plan("two", &["--cache-from", "type=local,src=shared"]).1);
}
