//! The table: medians of times, the highest peaks of memory, and how many times longer the peer takes.

use std::time::Duration;

use crate::measure::{Cost, median};
use crate::peer::Peer;
use crate::workload::Workload;

/// What one workload costs in one state.
pub(crate) struct Row {
    state: &'static str,
    costs: Vec<(Peer, Cost)>,
}

/// Prints the head.
pub(crate) fn head() {
    println!(
        "| {:8} | {:8} | {:>10} | {:>10} | {:>7} | {:>11} | {:>11} |",
        "workload", "state", "croze", "buildah", "ratio", "croze MiB", "buildah MiB"
    );
    println!("|{0:-<10}|{0:-<10}|{0:->12}|{0:->12}|{0:->9}|{0:->13}|{0:->13}|", "");
}

/// Prints the rows of a workload.
pub(crate) fn print(workload: &Workload, rows: &[Row]) {
    for row in rows {
        let (croze, buildah) = (row.wall(Peer::Croze), row.wall(Peer::Buildah));
        let ratio = croze.zip(buildah);
        let ratio = ratio.map(|(croze, buildah)| format!("{:.1}", buildah.as_secs_f64() / croze.as_secs_f64()));
        println!(
            "| {:8} | {:8} | {:>10} | {:>10} | {:>7} | {:>11} | {:>11} |",
            workload.name,
            row.state,
            time(croze),
            time(buildah),
            or_dash(ratio),
            or_dash(row.mebibytes(Peer::Croze)),
            or_dash(row.mebibytes(Peer::Buildah)),
        );
    }
}

impl Row {
    /// Starts an empty row.
    pub(crate) fn new(state: &'static str) -> Self {
        Self {
            state,
            costs: Vec::new(),
        }
    }

    /// Adds a run.
    pub(crate) fn add(&mut self, peer: Peer, cost: Cost) {
        self.costs.push((peer, cost));
    }

    fn of(&self, peer: Peer) -> impl Iterator<Item = &Cost> {
        self.costs
            .iter()
            .filter(move |(of, _)| *of == peer)
            .map(|(_, cost)| cost)
    }

    fn wall(&self, peer: Peer) -> Option<Duration> {
        median(self.of(peer).map(|cost| cost.wall))
    }

    fn mebibytes(&self, peer: Peer) -> Option<String> {
        let peak = self.of(peer).map(|cost| cost.peak_memory).max()?;
        Some(format!("{:.1}", peak as f64 / f64::from(1 << 20)))
    }
}

/// Shows a time in milliseconds, or in seconds when it is long.
pub(crate) fn time(time: Option<Duration>) -> String {
    or_dash(time.map(|time| match time.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        seconds => format!("{seconds:.2} s"),
    }))
}

fn or_dash(cell: Option<String>) -> String {
    cell.unwrap_or_else(|| "–".into())
}
