//! What one `RUN` costs beyond its program: many of `true` against few.

use crate::measure::{self, median};
use crate::peer::{Build, Peer};
use crate::table::time;
use crate::workshop::Workshop;

/// Further `RUN true` in the longer Dockerfile.
const MORE: u32 = 20;

/// Measures and prints it for each builder.
pub(crate) fn measure(peers: &[Peer], rounds: Option<usize>) {
    let workshop = Workshop::new(&dockerfile(1), |_| {});
    for &peer in peers {
        let state = workshop.fresh_state(peer);
        let build = |runs: u32, no_cache| {
            workshop.write_dockerfile(&dockerfile(runs));
            let cost = measure::run(peer.command(&Build {
                state: &state,
                context: &workshop.context(),
                push: None,
                no_cache,
            }));
            cost.wall
        };
        // The base is pulled once and for all.
        build(1, false);
        let rounds = 0..rounds.unwrap_or(7);
        let per_run = rounds.map(|_| build(1 + MORE, true).saturating_sub(build(1, true)) / MORE);
        println!("one RUN: {} with {peer}", time(median(per_run)));
    }
}

/// Returns a Dockerfile with that many commands, all different.
fn dockerfile(runs: u32) -> String {
    let runs = (0..runs).map(|n| format!("RUN true {n}\n"));
    format!("FROM BASE/busybox\n{}", runs.collect::<String>())
}
