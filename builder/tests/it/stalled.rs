//! Whoever reads what croze prints may stop reading: steps then wait, memory does not grow, and signals end the build.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Lab, sh};

/// Lines that a step prints: 100 MB in all.
const LINES: usize = 1_000_000;

/// A line that no program prints by itself.
const LINE: &str = "all work and no play makes a dull line of about one hundred characters, which is long enough";

fn build(lab: &Lab, progress: &str) -> Child {
    lab.command(&["build", progress, "context"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn lab(lines: usize) -> Lab {
    Lab::new(&format!("FROM BASE/busybox\nRUN yes '{LINE}' | head -n {lines}\n"))
}

/// Memory of a process that is not files, in bytes.
fn memory(child: &Child) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// Waits until a step prints and nobody reads it any more: its processes no longer run.
fn wait_for_stall(lab: &Lab) {
    let log = format!("find {}/state -name '*.log' -size +1k", lab.path().display());
    let began = Instant::now();
    let mut size = String::new();
    loop {
        let now = sh(&format!("{log} -printf '%s\n'"));
        if !now.is_empty() && now == size {
            return;
        }
        size = now;
        assert!(began.elapsed() < Duration::from_secs(60), "the step never stalls");
        std::thread::sleep(Duration::from_millis(700));
    }
}

#[test]
fn a_reader_that_stalls_does_not_let_memory_grow_and_an_interrupt_ends_the_build() {
    for progress in ["--progress=plain", "--progress=github", "--progress=rawjson"] {
        let lab = lab(LINES);
        let mut child = build(&lab, progress);
        wait_for_stall(&lab);
        let memory = memory(&child);
        assert!(memory < 64 << 20, "{progress}: {memory} bytes");
        sh(&format!("kill -INT {}", child.id()));
        let signalled = Instant::now();
        while child.try_wait().unwrap().is_none() {
            assert!(signalled.elapsed() < Duration::from_secs(15), "{progress}");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(child.wait().unwrap().code(), Some(130), "{progress}");
    }
}

#[test]
fn a_reader_that_goes_on_reads_all() {
    let lines = 120_000;
    let lab = lab(lines);
    let mut child = build(&lab, "--progress=plain");
    wait_for_stall(&lab);
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let read = stderr
        .lines()
        .filter(|line| line.as_ref().unwrap().ends_with(LINE))
        .count();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(read, lines);
}
