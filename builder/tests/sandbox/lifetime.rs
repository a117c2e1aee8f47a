//! When a step ends, and what ends with it.

use std::fs;
use std::time::{Duration, Instant};

use builder::executor::{MountSource, Tree};
use builder::rung::ProcView;
use rustix::process::{Pid, Signal, kill_process};

use super::Test;
use crate::harness::{Sandbox, Step, eventually, processes_with};
use crate::tests;

pub(crate) const TESTS: &[Test] = tests![
    nothing_outlives_its_step,
    a_daemon_that_keeps_the_output_open_does_not_hold_the_step_up,
    nothing_outlives_croze_killed_by_any_signal,
    nothing_outlives_the_monitor,
    a_step_outlives_the_starter,
    a_step_that_handles_sigterm_ends_in_its_own_way,
    a_step_that_does_not_handle_sigterm_is_killed_at_once,
    the_second_request_kills,
    thousands_of_processes_end_with_their_step,
    what_forks_all_the_time_ends_with_its_step,
    a_step_does_not_see_the_environment_of_croze,
];

/// A step whose processes can be told from all others, and the marker.
fn marked<'a>(sandbox: &'a Sandbox, script: &str) -> (Step<'a>, String) {
    let value = format!("{}", sandbox.path("").display());
    let step = sandbox
        .sh(script)
        .with(|process| process.env.push(("CROZE_TEST".into(), value.clone())));
    (step, format!("CROZE_TEST={value}"))
}

// M20
fn nothing_outlives_its_step(sandbox: &Sandbox) {
    let script = "(setsid sleep 300 </dev/null >/dev/null 2>&1 &); nohup sleep 300 >/dev/null 2>&1 & \
        sh -c 'sleep 300 >/dev/null 2>&1 & sleep 300 >/dev/null 2>&1 &'; echo done";
    let (step, marker) = marked(sandbox, script);
    assert_eq!(step.stdout(), "done\n");
    assert_eq!(processes_with(&marker), [""; 0]);
}

// M20
fn a_daemon_that_keeps_the_output_open_does_not_hold_the_step_up(sandbox: &Sandbox) {
    let began = Instant::now();
    assert_eq!(sandbox.sh("sleep 300 & echo done").stdout(), "done\n");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// The driver itself: below `runuser`, where that is in between.
fn croze_process(pid: u32, name: &str) -> Pid {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let comm = |pid: u32| {
        fs::read_to_string(format!("/proc/{pid}/comm"))
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let mut found = pid;
    if comm(pid) != name {
        found = children
            .split_whitespace()
            .map(|pid| pid.parse().unwrap())
            .find(|&pid| comm(pid) == name)
            .unwrap();
    }
    Pid::from_raw(found as i32).unwrap()
}

// M20
fn nothing_outlives_croze_killed_by_any_signal(sandbox: &Sandbox) {
    for signal in [
        Signal::KILL,
        Signal::TERM,
        Signal::INT,
        Signal::HUP,
        Signal::QUIT,
        Signal::ABORT,
    ] {
        let (step, marker) = marked(
            sandbox,
            "trap '' TERM INT HUP; (setsid sleep 300 &); (sleep 300 &); sleep 300 & wait",
        );
        let mut child = step.start();
        eventually("the step runs", Duration::from_secs(10), || {
            processes_with(&marker).len() == 4
        });
        kill_process(croze_process(child.id(), "croze"), signal).unwrap();
        eventually("all of it is gone", Duration::from_secs(1), || {
            processes_with(&marker).is_empty()
        });
        child.wait().unwrap();
    }
}

// M20: without a pid namespace, the monitor has a guard.
fn nothing_outlives_the_monitor(sandbox: &Sandbox) {
    let answers = match sandbox.place.proc {
        ProcView::New => &["the step's monitor died"][..],
        ProcView::Bound => &[
            "the step's monitor cannot go on without its guard: Broken pipe (os error 32)",
            "the step's monitor died",
        ],
    };
    for (depth, answer) in answers.iter().enumerate() {
        let (step, marker) = marked(sandbox, "(setsid sleep 300 &); sleep 300 & wait");
        let child = step.start();
        eventually("the step runs", Duration::from_secs(10), || {
            processes_with(&marker).len() == 3
        });
        let mut monitor = monitor_of(starter_of(croze_process(child.id(), "croze")));
        for _ in 0..depth {
            monitor = children(monitor)[0];
        }
        kill_process(monitor, Signal::KILL).unwrap();
        eventually("all of it is gone", Duration::from_secs(1), || {
            processes_with(&marker).is_empty()
        });
        assert_eq!(crate::harness::report(child).exit, Err((*answer).into()));
    }
}

// M20: every process is the child of one that is already gone.
fn what_forks_all_the_time_ends_with_its_step(sandbox: &Sandbox) {
    for _ in 0..5 {
        let script = "race() { race & exit; }; for i in 1 2 3 4; do race & done; sleep 0.1; echo done";
        let (step, marker) = marked(sandbox, script);
        assert_eq!(step.stdout(), "done\n");
        assert_eq!(processes_with(&marker), [""; 0]);
    }
}

fn a_step_outlives_the_starter(sandbox: &Sandbox) {
    let (step, marker) = marked(sandbox, "trap 'exit 3' USR1; sleep 300 & wait");
    let child = step.start();
    eventually("the step runs", Duration::from_secs(10), || {
        processes_with(&marker).len() == 2
    });
    let starter = starter_of(croze_process(child.id(), "croze"));
    let mut monitor = monitor_of(starter);
    if sandbox.place.proc == ProcView::Bound {
        // That was its guard.
        monitor = children(monitor)[0];
    }
    kill_process(starter, Signal::KILL).unwrap();
    kill_process(children(monitor)[0], Signal::USR1).unwrap();
    assert_eq!(crate::harness::report(child).exit, Ok(3));
    assert_eq!(processes_with(&marker), [""; 0]);
}

/// The starter among croze's children; another one has tried the sandbox.
fn starter_of(croze: Pid) -> Pid {
    let name =
        |process: &Pid| fs::read_to_string(format!("/proc/{}/cmdline", process.as_raw_pid())).unwrap_or_default();
    let is_starter = |process: &Pid| name(process).starts_with("step-starter");
    children(croze).into_iter().find(is_starter).unwrap()
}

fn monitor_of(starter: Pid) -> Pid {
    children(starter)[0]
}

/// Returns the children of a process without threads.
fn children(process: Pid) -> Vec<Pid> {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", process.as_raw_pid())).unwrap();
    let pids = children.split_whitespace().map(|pid| pid.parse().unwrap());
    pids.filter_map(Pid::from_raw).collect()
}

fn a_step_that_handles_sigterm_ends_in_its_own_way(sandbox: &Sandbox) {
    let script = "trap 'echo cleaned >/tmp/x; exit 3' TERM; sleep 300 & wait";
    let (ran, took) = sandbox.sh(script).stopped_after(Duration::from_millis(500), false);
    assert_eq!(ran.report.exit, Ok(3), "{:?}", ran.report);
    assert_eq!(ran.layer(), ["/tmp", "/tmp/x"]);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

fn a_step_that_does_not_handle_sigterm_is_killed_at_once(sandbox: &Sandbox) {
    let (ran, took) = sandbox
        .exec(&["sleep", "300"])
        .stopped_after(Duration::from_millis(500), false);
    assert_eq!(ran.report.exit, Ok(137), "{:?}", ran.report);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

fn the_second_request_kills(sandbox: &Sandbox) {
    let script = "trap 'echo ignored' TERM; while true; do sleep 300 & wait; done";
    let (ran, took) = sandbox.sh(script).stopped_after(Duration::from_millis(500), true);
    assert_eq!(ran.report.exit, Ok(137), "{:?}", ran.report);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

fn thousands_of_processes_end_with_their_step(sandbox: &Sandbox) {
    let script = "i=0; while [ $i -lt 2000 ]; do sleep 300 & i=$((i+1)); done; \
        until [ -e /counted/now ]; do sleep 0.01; done; echo forked; exit 0";
    let (step, marker) = marked(sandbox, script);
    let counted = sandbox.path("counted");
    fs::create_dir(&counted).unwrap();
    let bind = MountSource::Bind {
        tree: Tree::Directory(counted.clone()),
        path: "/".into(),
        writable: false,
    };
    let child = step.mount("/counted", bind).start();
    eventually("many run", Duration::from_secs(60), || {
        processes_with(&marker).len() > 2000
    });
    fs::write(counted.join("now"), "").unwrap();
    let report = crate::harness::report(child);
    assert_eq!(report.stdout, "forked\n");
    assert_eq!(processes_with(&marker), [""; 0]);
}

// M12
fn a_step_does_not_see_the_environment_of_croze(sandbox: &Sandbox) {
    let job = crate::driver::Job::Run {
        process: Box::new(
            sandbox
                .sh("env; cat /proc/1/environ; grep -c CANARY /proc/*/environ")
                .process,
        ),
        scratch: sandbox.path("scratch"),
        stop_after: None,
    };
    let mut command = sandbox.command(crate::harness::USER);
    command.env("CANARY_ENV", "canary").env("DOCKER_AUTH_CONFIG", "canary");
    let report = crate::harness::report(sandbox.drive(command, job));
    assert!(!report.stdout.contains("canary"), "{report:?}");
    assert!(report.stdout.contains("PATH=/bin"), "{report:?}");
}
