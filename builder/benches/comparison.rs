//! croze beside Debian's buildah when things go wrong: the same faults of registries, kills, hostile images and logs, one
//! row each. Prints a table for the README; ends with 1 if croze does not do in every row what it promises.
//!
//! ```text
//! testdata/compare.sh                # everything, in about three minutes
//! testdata/compare.sh links R3       # only the rows whose names have one of these in them
//! ```
//!
//! Needs what `testdata/setup.sh` installs, and root, to become the unprivileged user who builds. It is a benchmark only
//! to Cargo, so that `cargo test` does not run it: what it prints of the peer is no test of ours.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]
#![allow(clippy::unwrap_used, reason = "a comparison that cannot go on ends")]

#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "shared with the integration tests, which use more of it"
)]
#[path = "../tests/it/harness/mod.rs"]
mod harness;

#[allow(dead_code, reason = "shared with the tests of the client, which use more of it")]
#[path = "../../registry/tests/client/fault_registry/mod.rs"]
mod fault_registry;
#[allow(dead_code, reason = "shared with the tests of the client, which use more of it")]
#[path = "../../registry/tests/client/faults.rs"]
mod faults;
#[allow(dead_code, reason = "shared with the tests of the client, which use more of it")]
#[path = "../../registry/tests/client/fixtures.rs"]
mod fixtures;

#[path = "comparison/kills.rs"]
mod kills;
#[path = "comparison/layers.rs"]
mod layers;
#[path = "comparison/registries.rs"]
mod registries;
#[path = "comparison/rig.rs"]
mod rig;
#[path = "comparison/strangers.rs"]
mod strangers;
#[path = "comparison/tool.rs"]
mod tool;

use std::process::ExitCode;

use rig::{Observation, Row, observed};
use tool::{Buildah, Croze, Tool};

fn main() -> ExitCode {
    // Cargo's own options begin with a dash.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let rows: Vec<Row> = [registries::ROWS, kills::ROWS, strangers::ROWS, layers::ROWS].concat();
    let is_wanted = |row: &&Row| wanted.is_empty() || wanted.iter().any(|word| row.name.contains(word.as_str()));
    println!("| what happens | {} | {} |", Croze.version(), Buildah.version());
    println!("|---|---|---|");
    let mut kept = true;
    for row in rows.iter().filter(is_wanted) {
        // Side by side: much of it is waiting.
        let (own, peer) = std::thread::scope(|scope| {
            let peer = scope.spawn(|| (row.script)(&Buildah));
            let own = (row.script)(&Croze);
            // What surprises the script is told with its panic.
            let peer = peer
                .join()
                .unwrap_or_else(|_| observed(false, "the script does not understand it"));
            (own, peer)
        });
        println!("| {} | {own} | {peer} |", row.name);
        kept &= own.is_right;
    }
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl std::fmt::Display for Observation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = if self.is_right { "ok" } else { "**wrong**" };
        write!(f, "{word}: {}", self.said)
    }
}
