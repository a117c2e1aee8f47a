//! croze beside Debian's buildah, in one run on one machine: what builds cost, cold, warm and changed, in time and
//! memory; and what one `RUN` costs.
//!
//! ```text
//! cargo bench -p builder --bench peers                     # everything
//! cargo bench -p builder --bench peers -- W1 RUN           # only these
//! cargo bench -p builder --bench peers -- --rounds 1 W4    # quickly
//! cargo bench -p builder --bench peers -- --only croze W3  # without the peer
//! ```
//!
//! With `TMPDIR=/dev/shm` contexts, states and the registry are in memory: that takes the disk, which other processes
//! use too, out of the comparison.
//!
//! Needs what `testdata/setup.sh` installs, and root, to become the unprivileged user who builds. Seconds of two
//! machines say nothing about each other: what counts are the ratios of one run.

#![allow(clippy::print_stdout, reason = "printing is what a benchmark is for")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "shared with the integration tests, which use more of it"
)]
#[path = "../tests/it/harness/mod.rs"]
mod harness;

#[path = "peers/measure.rs"]
mod measure;
#[path = "peers/peer.rs"]
mod peer;
#[path = "peers/run_overhead.rs"]
mod run_overhead;
#[path = "peers/table.rs"]
mod table;
#[path = "peers/workload.rs"]
mod workload;
#[path = "peers/workshop.rs"]
mod workshop;

use peer::Peer;
use workload::Workload;

/// What the command line asks for.
struct Options {
    names: Vec<String>,
    rounds: Option<usize>,
    peers: Vec<Peer>,
}

impl Options {
    fn of_process() -> Self {
        let mut options = Self {
            names: Vec::new(),
            rounds: None,
            peers: vec![Peer::Croze, Peer::Buildah],
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("`{word}` needs a value"));
            match word.as_str() {
                // cargo says that it runs benchmarks.
                "--bench" => {}
                "--rounds" => options.rounds = Some(value().parse().expect("a number of rounds")),
                "--only" => options.peers = vec![Peer::named(&value())],
                _ => options.names.push(word),
            }
        }
        options
    }

    fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
    }
}

fn main() {
    let options = Options::of_process();
    let workloads = Workload::all();
    let wanted: Vec<&Workload> = workloads
        .iter()
        .filter(|workload| options.wants(workload.name))
        .collect();
    for workload in &wanted {
        println!("{}: {}", workload.name, workload.description);
    }
    if !wanted.is_empty() {
        table::head();
    }
    for workload in wanted {
        workshop::measure(workload, &options.peers, options.rounds);
    }
    if options.wants("RUN") {
        run_overhead::measure(&options.peers, options.rounds);
    }
}
