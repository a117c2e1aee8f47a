//! No space at each system call that may ask for some, one call after the other (`strace -e inject`), until there is none left.
//!
//! `write` is not among them: `strace` cannot tell a file from the counters by which threads wake each other, whose writes
//! never lack space. Writes fail in `disk_full`, and at the points of `points`.

use std::fs;

use super::length;
use super::rig::Rig;
use crate::harness::sh;

/// No process but croze's own: what a step does without space is for the step to say.
const DOCKERFILE: &str = "FROM BASE/busybox\nCOPY file /copied\nWORKDIR /work\n";

/// Returns how many calls of each process pass before the one that fails, tightly at first.
fn next(nth: usize) -> usize {
    length(nth + 1 + nth / 2, nth + 1)
}

/// Fails one call after the other of these, and returns how many builds that took.
fn sweep(calls: &str) -> String {
    let rig = Rig::new();
    rig.dockerfile(DOCKERFILE);
    let expected = rig.digest(&[]);
    let (log, state) = (rig.lab.path().join("calls"), rig.state.display());
    let (mut nth, mut runs) = (1, 0);
    loop {
        sh(&format!("rm -rf {state} && install -d -o croze-ci {state}"));
        let (trace, inject) = (
            format!("trace={calls}"),
            format!("inject={calls}:error=ENOSPC:when={nth}"),
        );
        let strace = [
            "strace",
            "-f",
            "-qq",
            "-o",
            log.to_str().unwrap(),
            "-e",
            &trace,
            "-e",
            &inject,
        ];
        let outcome = rig.build_under(&strace, &["--tag=app"]);
        let log = fs::read_to_string(&log).unwrap();
        let injected: Vec<_> = log.lines().filter(|line| line.contains("(INJECTED)")).collect();
        if injected.is_empty() {
            assert_eq!(outcome.code, 0, "{}", outcome.stderr);
            break;
        }
        // To open what is there takes no space: only here it is what fails, and then it is said of what.
        let only_reads =
            |line: &&str| line.contains("openat(") && !line.contains("O_CREAT") && !line.contains("O_TMPFILE");
        let after = format!("{calls} number {nth}");
        match outcome.code {
            // It did not have to succeed, or was not croze's.
            0 => {}
            127 if outcome.stderr.contains("loading shared libraries") => {}
            _ if outcome.stderr.starts_with("setpriv: ") => {}
            10 => outcome.fails(10, &["no space left", "croze prune", "--root"]),
            5 | 9 if injected.iter().all(only_reads) => outcome.fails(outcome.code, &["No space left on device"]),
            code => panic!("{after}: {code}\n{}", outcome.stderr),
        }
        rig.recovers(&expected, &["--tag=app"], &after);
        (nth, runs) = (next(nth), runs + 1);
    }
    assert!(runs > 1, "{calls} is not called");
    format!("{runs} builds without space at {calls}")
}

#[test]
fn no_space_for_a_directory_is_said_wherever_it_is_made() {
    println!("{}", sweep("mkdir,mkdirat"));
}

#[test]
fn no_space_for_a_name_is_said_wherever_one_is_given() {
    println!("{}", sweep("rename,renameat,renameat2"));
    println!("{}", sweep("link,linkat"));
}

#[test]
fn no_space_for_a_file_is_said_wherever_one_is_opened() {
    println!("{}", sweep("openat"));
}

#[test]
fn no_space_for_what_is_unpacked_or_copied_is_said() {
    println!("{}", sweep("pwrite64"));
}
