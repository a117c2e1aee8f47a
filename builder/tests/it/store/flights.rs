//! Builds at the same time do the same work once.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::harness::{Lab, Outcome};

/// A step that takes a while and gives something else whenever it runs.
const SLOW: &str = "RUN sleep 1; cat /proc/sys/kernel/random/uuid > /unique";

/// Builds into several directories at the same time; returns how each went.
fn build_at_once(lab: &Lab, outs: &[&str]) -> Vec<Outcome> {
    let started = outs.iter().map(|out| {
        let mut command = lab.command(&["build", "--progress=plain", "-o", out, "context"]);
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    });
    let started: Vec<_> = started.collect();
    started
        .into_iter()
        .map(|child| Outcome::of(child.wait_with_output().unwrap()))
        .collect()
}

#[test]
fn two_processes_run_a_step_once_and_have_the_same_result() {
    let lab = Lab::new(&format!("FROM BASE/busybox\n{SLOW}\n"));
    let outcomes = build_at_once(&lab, &["one", "two", "three"]);
    let unique = |out: &str| fs::read_to_string(lab.path().join(out).join("unique")).unwrap();
    for outcome in &outcomes {
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    }
    assert_eq!(unique("one"), unique("two"));
    assert_eq!(unique("one"), unique("three"));
    let said = |text: &str| outcomes.iter().filter(|outcome| outcome.stderr.contains(text)).count();
    assert_eq!(said("CACHED"), 2, "{}", outcomes[0].stderr);
    assert_eq!(said("waiting for another build"), 2, "{}", outcomes[0].stderr);
}

#[test]
fn the_work_of_a_process_that_is_killed_is_done_by_who_waits_for_it() {
    let lab = Lab::new("FROM BASE/busybox\nRUN sleep 3\n");
    let start = || {
        let mut command = lab.command(&["build", "--progress=plain", "context"]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut first = start();
    let flights = lab.path().join("state/v1/run");
    let is_flying = || {
        let entries = fs::read_dir(&flights).into_iter().flatten().flatten();
        let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        // That of the step: the base has one of its own before.
        names.any(|name| name.starts_with("flight-") && !name.contains("layer"))
    };
    let patience = Instant::now() + Duration::from_secs(20);
    while !is_flying() {
        assert!(Instant::now() < patience, "the step does not begin");
        std::thread::sleep(Duration::from_millis(10));
    }
    let second = start();
    std::thread::sleep(Duration::from_millis(700));
    first.kill().unwrap();
    first.wait().unwrap();
    let second = Outcome::of(second.wait_with_output().unwrap());
    assert_eq!(second.code, 0, "{}", second.stderr);
    assert!(second.stderr.contains("waiting for another build"), "{}", second.stderr);
    assert!(!second.stderr.contains("CACHED"), "{}", second.stderr);
}
