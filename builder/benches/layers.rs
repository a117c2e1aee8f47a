//! What large layers cost: a sparse file, data that does not compress, a million small files, 500 layers; built and pushed
//! to a registry of this machine, each at a quarter of its size too, which shows whether time grows as the size does.
//!
//! ```text
//! cargo bench -p builder --bench layers                      # everything: 8 GB of disk below /var/tmp/croze-tests
//! cargo bench -p builder --bench layers -- data              # only this
//! cargo bench -p builder --bench layers -- --scale 0.1       # a tenth of each
//! ```
//!
//! The memory is that of croze and all that it started, and has a limit. What the steps themselves take, to write what is
//! then packed, is in the time. Needs what `testdata/setup.sh` installs, and root, to become the user who builds.

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

#[allow(dead_code, reason = "shared with benchmarks that use more of it")]
#[path = "arguments/mod.rs"]
mod arguments;
#[allow(dead_code, reason = "shared with a benchmark that uses more of it")]
#[path = "peers/measure.rs"]
mod measure;

use arguments::Arguments;
use harness::{Lab, Registry, sh};
use measure::Cost;

/// Anonymous memory that a build may have at once, in bytes.
const LIMIT: u64 = 256 << 20;

/// Something whose size can be chosen.
struct Workload {
    name: &'static str,
    /// In `unit`s.
    size: u64,
    unit: &'static str,
    /// Writes the Dockerfile for a size.
    dockerfile: fn(u64) -> String,
}

const WORKLOADS: [Workload; 4] = [
    Workload {
        name: "sparse",
        size: 10_240,
        unit: "MiB of a hole",
        dockerfile: |size| format!("FROM BASE/busybox\nRUN truncate -s {size}M /sparse\n"),
    },
    Workload {
        name: "data",
        size: 2000,
        unit: "MB of random data",
        dockerfile: |size| format!("FROM BASE/busybox\nRUN head -c {size}000000 /dev/urandom > /data\n"),
    },
    Workload {
        name: "files",
        size: 1_000_000,
        unit: "files",
        // A thousand in each directory, by what is built into the shell.
        dockerfile: |size| {
            let directories = size / 1000;
            format!(
                "FROM BASE/busybox\nSHELL [\"/bin/sh\", \"-ec\"]\n\
                 RUN for d in $(seq {directories}); do mkdir -p /files/$d; cd /files/$d; \
                 for f in $(seq 1000); do echo $f > $f; done; done; \
                 test $(find /files -type f | wc -l) = {size}\n"
            )
        },
    },
    Workload {
        name: "layers",
        size: 500,
        unit: "layers",
        dockerfile: |size| {
            let step = |number: u64| format!("COPY <<E /file{number}\n{number}\nE\n");
            let steps: String = (0..size).map(step).collect();
            format!("FROM BASE/busybox\n{steps}")
        },
    },
];

fn main() {
    let arguments = Arguments::of_process();
    let scale: f64 = arguments.option("scale").map_or(1.0, |scale| scale.parse().unwrap());
    println!(
        "| {:>28} | {:>8} | {:>10} | {:>26} |",
        "", "time", "memory", "time by size, of a quarter's"
    );
    println!("|-{:->28}-|-{:->8}-|-{:->10}-|-{:->26}-|", "", "", "", "");
    for workload in &WORKLOADS {
        if !arguments.names.is_empty() && !arguments.names.iter().any(|name| name == workload.name) {
            continue;
        }
        let size = (workload.size as f64 * scale) as u64;
        let quarter = workload.build(size / 4);
        let whole = workload.build(size);
        let per_size = |cost: &Cost, size: u64| cost.wall.as_secs_f64() / size as f64;
        let growth = per_size(&whole, size) / per_size(&quarter, size / 4);
        workload.print(size / 4, &quarter, "");
        workload.print(size, &whole, &format!("{growth:.2}"));
    }
}

impl Workload {
    /// Builds and pushes a size of it with an empty store to an empty registry.
    fn build(&self, size: u64) -> Cost {
        let (registry, lab) = (Registry::start(), Lab::new(&(self.dockerfile)(size)));
        let tag = format!("{}/bench:1", registry.host());
        let build = ["build", "--progress=plain", "context", "-t", &tag, "--push"];
        let cost = measure::run(lab.command(&build));
        let blobs = format!("{}/state/v1/blobs", lab.path().display());
        // The base's blob, configs and manifests are all that may be there.
        let kept: u64 = sh(&format!("du -sm {blobs} | cut -f 1")).trim().parse().unwrap();
        assert!(kept < 8, "{kept} MiB of blobs were kept");
        cost
    }

    fn print(&self, size: u64, cost: &Cost, growth: &str) {
        let memory = cost.peak_memory as f64 / f64::from(1 << 20);
        let over = if cost.peak_memory > LIMIT { " (over)" } else { "" };
        println!(
            "| {:>28} | {:>6.1} s | {:>10} | {growth:>26} |",
            format!("{size} {}", self.unit),
            cost.wall.as_secs_f64(),
            format!("{memory:.0} MiB{over}"),
        );
    }
}
