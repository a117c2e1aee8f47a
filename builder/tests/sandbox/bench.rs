//! `cargo test --test sandbox -- --bench`: what an empty step costs from end to end.

use std::process::ExitCode;

use builder::executor::Network;

use crate::driver::{Job, Report};
use crate::harness::{Sandbox, Step, USER, report};
use crate::place::Place;

/// First argument of a measurement.
pub(crate) const ARGUMENT: &str = "--bench";

pub(crate) fn main() -> ExitCode {
    for place in Place::available() {
        let sandbox = Sandbox::new(place);
        let empty = || sandbox.exec(&["/bin/true"]);
        println!("empty step as {place}: {}", figures(measure(&sandbox, empty())));
        let alone = empty().with(|process| process.network = Network::None);
        println!("  without a network: {}", figures(measure(&sandbox, alone)));
        std::fs::create_dir(sandbox.image().join("proc")).unwrap();
        for path in ["sys", "dev"] {
            std::fs::create_dir(sandbox.image().join(path)).unwrap();
        }
        for path in ["etc/hosts", "etc/resolv.conf"] {
            std::fs::write(sandbox.image().join(path), "").unwrap();
        }
        println!(
            "  with all mount points in the image: {}",
            figures(measure(&sandbox, empty()))
        );
    }
    ExitCode::SUCCESS
}

fn measure(sandbox: &Sandbox, step: Step<'_>) -> Report {
    let job = Job::Measure {
        process: Box::new(step.process),
        scratch: sandbox.path("scratch"),
        times: 200,
    };
    report(sandbox.drive(sandbox.command(USER), job))
}

fn figures(mut report: Report) -> String {
    assert_eq!(report.exit, Ok(0));
    report.milliseconds.sort_by(f64::total_cmp);
    let times = &report.milliseconds;
    format!("min {:.2} ms, median {:.2} ms", times[0], times[times.len() / 2])
}
