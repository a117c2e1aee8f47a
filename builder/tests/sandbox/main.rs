//! The sandbox, tested on real namespaces: as root, and as a user with subordinate ids.
//!
//! The program has three faces. Started by cargo, it runs the tests. A test starts it again, as the user in question, as
//! a *driver* that enters a user namespace and runs one step. And a step can run it as a *probe*, to try system calls.

#![allow(
    clippy::unwrap_used,
    reason = "all of this is a test, which clippy does not see without a harness"
)]
#![allow(
    clippy::print_stdout,
    reason = "its output is the report of a test run, a driver or a probe"
)]

mod attacks;
mod bench;
mod chroot;
mod driver;
mod entering;
mod files;
mod harness;
mod isolation;
mod leaving;
mod lifetime;
mod messages;
mod mounts;
mod place;
mod probe;
mod programs;
mod ptrace;
mod random_calls;
mod rootfs;
#[path = "../it/harness/scratch.rs"]
mod scratch;
mod supervised;

use std::panic::catch_unwind;
use std::process::ExitCode;

use builder::rung::Rung;
use harness::Sandbox;
use place::Place;

/// A test, run once per place.
type Test = (&'static str, fn(&Sandbox));

/// Names functions as tests.
macro_rules! tests {
    ($($test:path),* $(,)?) => { &[$((stringify!($test), $test as fn(&$crate::harness::Sandbox))),*] };
}
pub(crate) use tests;

fn main() -> ExitCode {
    if let Some(code) = builder::executor::init_main_if_asked() {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Behind the name of a script, if this program is its interpreter.
    if let Some(place) = arguments.iter().position(|argument| argument == probe::ARGUMENT) {
        return probe::main(&arguments[place + 1..]);
    }
    match arguments.first().map(String::as_str) {
        Some(driver::ARGUMENT) => driver::main(),
        Some(bench::ARGUMENT) => bench::main(),
        _ => run_tests(arguments.iter().find(|argument| !argument.starts_with('-'))),
    }
}

fn run_tests(filter: Option<&String>) -> ExitCode {
    let with_mounts = [
        entering::TESTS,
        programs::TESTS,
        files::TESTS,
        mounts::TESTS,
        isolation::TESTS,
        lifetime::TESTS,
        supervised::TESTS,
        attacks::TESTS,
        leaving::TESTS,
    ];
    let places = |name: &str| {
        let is_in = |list: &[(&str, &str)]| list.iter().any(|(listed, _)| *listed == name);
        let (nowhere, not_in_ptrace) = (is_in(chroot::NOT_HERE), is_in(chroot::NOT_IN_PTRACE));
        let is_here = move |place: &Place| !(nowhere || not_in_ptrace && place.rung == Rung::Ptrace);
        let without_mounts = Place::without_mounts().into_iter().filter(is_here);
        Place::available().into_iter().chain(without_mounts).collect()
    };
    let everywhere = with_mounts.into_iter().flatten().map(|test| (test, places(test.0)));
    let tests: Vec<(&Test, Vec<Place>)> = everywhere
        .chain(chroot::TESTS.iter().map(|test| (test, Place::without_mounts())))
        .chain(messages::TESTS.iter().map(|test| (test, Place::without_mounts())))
        .chain(ptrace::TESTS.iter().map(|test| (test, Place::in_ptrace())))
        .collect();
    let mut failed = Vec::new();
    let mut passed_count = 0;
    for ((name, test), places) in tests {
        for place in places {
            let whole = format!("{name} as {place}");
            if filter.is_some_and(|filter| !whole.contains(filter.as_str())) {
                continue;
            }
            let passed = catch_unwind(|| test(&Sandbox::new(place))).is_ok();
            println!("test {whole} ... {}", if passed { "ok" } else { "FAILED" });
            if passed {
                passed_count += 1;
            } else {
                failed.push(whole);
            }
        }
    }
    if failed.is_empty() {
        println!("\ntest result: ok. {passed_count} passed; 0 failed");
        return ExitCode::SUCCESS;
    }
    println!("\nfailed:\n    {}", failed.join("\n    "));
    println!("\ntest result: FAILED. {passed_count} passed; {} failed", failed.len());
    ExitCode::FAILURE
}
