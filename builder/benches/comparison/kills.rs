//! Builders that are killed or interrupted: what is left, and whether the next build works.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use axum::http::Method;

use crate::faults::Fault;
use crate::harness::{Lab, sh};
use crate::rig::{Observation, Row, builds, lab_on, observed, registry, run, signal, start};
use crate::tool::{Ask, Tool};

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "K1 SIGKILL while a step runs",
        script: killed,
    },
    Row {
        name: "K2 SIGINT while a step runs",
        script: interrupted,
    },
    Row {
        name: "K3 SIGKILL while a base image is pulled",
        script: killed_pull,
    },
    Row {
        name: "K4 SIGKILL at ten moments of a build",
        script: killed_anywhere,
    },
];

/// How long something may take to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until something is so; tells whether it came to that.
fn comes(mut so: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while !so() {
        if began.elapsed() > PATIENCE {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}

/// Counts processes whose command line begins so.
fn count(words: &str) -> usize {
    sh(&format!("pgrep -fc '^{words}' || true")).trim().parse().unwrap()
}

/// Sends a signal while a step sleeps; returns how the builder ended, how many processes it left, what of the step is
/// left in its state, and whether it builds again.
fn ended_by(tool: &dyn Tool, name: &str, whom: impl Fn(u32) -> String) -> (Option<i32>, usize, usize, bool) {
    // A number of seconds that nobody else sleeps.
    let seconds = format!(
        "4{}.{}",
        std::process::id(),
        u32::from(name == "KILL") + 2 * u32::from(tool.version().contains("croze"))
    );
    let lab = Lab::new(&format!(
        "FROM BASE/busybox\nRUN (setsid sleep {seconds} &); sleep {seconds}\n"
    ));
    let ask = Ask::default();
    let mut child = start(tool.command(&lab, &ask).stdout(Stdio::null()).stderr(Stdio::null()));
    let words = format!("sleep {seconds}");
    assert!(comes(|| count(&words) == 2), "the step never runs");
    signal(name, &whom(child.id()));
    let _ended = comes(|| child.try_wait().unwrap().is_some());
    let status = child.try_wait().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    let left = sh(&format!("pgrep -f '^{words}' || true"));
    for id in left.lines() {
        signal("KILL", id);
    }
    let left = left.lines().count();
    signal("KILL", &format!("-{}", child.id()));
    let kept = sh(&tool.leftovers(&lab))
        .lines()
        .filter(|line| !line.trim().is_empty())
        .count();
    lab.write("Dockerfile", &lab.fill("FROM BASE/busybox\nRUN echo again\n"));
    let again = builds(tool, &lab, &ask);
    let code = status.map(|status| status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)));
    (code, left, kept, again)
}

fn killed(tool: &dyn Tool) -> Observation {
    let (_, left, kept, again) = ended_by(tool, "KILL", |id| id.to_string());
    told(left, kept, again, None)
}

fn interrupted(tool: &dyn Tool) -> Observation {
    // As a terminal does: everybody in its foreground gets it.
    let (code, left, kept, again) = ended_by(tool, "INT", |id| format!("-{id}"));
    told(left, kept, again, Some(code))
}

fn told(left: usize, kept: usize, again: bool, code: Option<Option<i32>>) -> Observation {
    let mut said = Vec::new();
    match code {
        Some(Some(code)) => said.push(format!("ends with {code}")),
        Some(None) => said.push("does not end".to_owned()),
        None => {}
    }
    said.push(format!("processes that live on: {left} of 2"));
    // What is left of a killed builder may be cleared away by the next.
    said.push(format!("unfinished trees: {kept}"));
    said.push(if again { "builds again" } else { "does not build again" }.to_owned());
    let is_right = left == 0 && again && code.is_none_or(|code| code == Some(130) && kept == 0);
    observed(is_right, said.join(", "))
}

fn killed_pull(tool: &dyn Tool) -> Observation {
    let registry = registry();
    registry.fail(Method::GET, "/blobs/", 8, Fault::StallAfter(2000));
    let lab = lab_on(&registry, "RUN true\n");
    let ask = Ask::default();
    let mut child = start(tool.command(&lab, &ask).stdout(Stdio::null()).stderr(Stdio::null()));
    assert!(
        comes(|| registry.count(Method::GET, "/blobs/") > 0),
        "nothing is pulled"
    );
    std::thread::sleep(Duration::from_millis(300));
    signal("KILL", &child.id().to_string());
    let _killed = child.wait();
    signal("KILL", &format!("-{}", child.id()));
    let honest = self::registry();
    lab.write("Dockerfile", &format!("FROM {}/busybox\nRUN true\n", honest.address));
    let again = builds(tool, &lab, &ask);
    observed(again, if again { "builds again" } else { "does not build again" })
}

fn killed_anywhere(tool: &dyn Tool) -> Observation {
    let make = "RUN head -c 20000000 /dev/urandom > /noise; sha256sum /noise > /sum\n";
    let check = "RUN sha256sum -c /sum\n";
    let dockerfile = |round: usize| format!("FROM BASE/busybox\nENV ROUND={round}\n{make}{check}");
    let lab = Lab::new(&dockerfile(0));
    let ask = Ask::default();
    let began = Instant::now();
    if !builds(tool, &lab, &ask) {
        return observed(false, "does not build at all");
    }
    let whole = began.elapsed();
    let mut wrong = 0;
    for round in 1..=10 {
        lab.write("Dockerfile", &lab.fill(&dockerfile(round)));
        let child = start(tool.command(&lab, &ask).stdout(Stdio::null()).stderr(Stdio::null()));
        std::thread::sleep(whole * u32::try_from(round).unwrap() / 11);
        signal("KILL", &child.id().to_string());
        signal("KILL", &format!("-{}", child.id()));
        let _killed = { child }.wait();
        let ended = run(&mut tool.command(&lab, &ask));
        wrong += usize::from(ended.is_none_or(|outcome| outcome.code != 0));
    }
    let said = format!("{} of 10 next builds work and are right", 10 - wrong);
    observed(wrong == 0, said)
}
