//! How long a process tree takes and how much memory it has at once.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often memory is looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// One run of a command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// From its start to its end.
    pub(crate) wall: Duration,
    /// The most anonymous memory that it and all it started had at once, in bytes: what the machine cannot take back
    /// while they run. A short run may end between two looks.
    pub(crate) peak_memory: u64,
}

/// Runs a command to its end, which must be a good one.
///
/// # Panics
/// If it fails: with what it printed.
pub(crate) fn run(mut command: Command) -> Cost {
    let start = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (root, ended) = (child.id(), AtomicBool::new(false));
    thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut peak = 0;
            while !ended.load(Ordering::Relaxed) {
                peak = peak.max(anonymous_memory(root));
                thread::park_timeout(INTERVAL);
            }
            peak
        });
        let output = child.wait_with_output().expect("its end");
        let wall = start.elapsed();
        ended.store(true, Ordering::Relaxed);
        sampler.thread().unpark();
        assert!(
            output.status.success(),
            "{command:?}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        let peak_memory = sampler.join().expect("the sampler");
        Cost { wall, peak_memory }
    })
}

/// Adds up the anonymous memory of a process and its descendants, in bytes.
fn anonymous_memory(process: u32) -> u64 {
    let own = fs::read_to_string(format!("/proc/{process}/status")).map_or(0, |status| {
        let kibibytes = |line: &str| {
            line.strip_prefix("RssAnon:")?
                .trim_end_matches("kB")
                .trim()
                .parse()
                .ok()
        };
        status.lines().find_map(kibibytes).unwrap_or(0_u64) << 10
    });
    // A child belongs to the thread that started it.
    let threads = fs::read_dir(format!("/proc/{process}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let children = threads.flat_map(|thread| {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        let children: Vec<u32> = children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
        children
    });
    own + children.map(anonymous_memory).sum::<u64>()
}

/// Returns the middle value; of two middle ones the upper.
pub(crate) fn median<T: Ord + Copy>(values: impl IntoIterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}
