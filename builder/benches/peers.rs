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

#[path = "arguments/mod.rs"]
mod arguments;
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

use arguments::Arguments;
use peer::Peer;
use workload::Workload;

fn main() {
    let arguments = Arguments::of_process();
    let (names, rounds) = (&arguments.names, arguments.rounds());
    let wants = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name));
    let peers = match arguments.option("only") {
        Some(peer) => vec![Peer::named(peer)],
        None => vec![Peer::Croze, Peer::Buildah],
    };
    let workloads = Workload::all();
    let wanted: Vec<&Workload> = workloads.iter().filter(|workload| wants(workload.name)).collect();
    for workload in &wanted {
        println!("{}: {}", workload.name, workload.description);
    }
    if !wanted.is_empty() {
        table::head();
    }
    for workload in wanted {
        workshop::measure(workload, &peers, rounds);
    }
    if wants("RUN") {
        run_overhead::measure(&peers, rounds);
    }
}
