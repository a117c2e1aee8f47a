//! Eight processes that build the same and different things in one store, while others collect and prune without a pause.

use std::fs;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::rig::Rig;
use super::{Random, length};
use crate::harness::Outcome;

/// Processes that build at the same time.
const BUILDERS: usize = 8;
/// Dockerfiles that differ; two processes at least build each.
const PROJECTS: usize = 4;

/// Returns a Dockerfile that has a stage and a layer in common with the others.
fn dockerfile(project: usize) -> String {
    format!(
        "FROM BASE/busybox AS same\nRUN echo same > /same\n\
         FROM same AS made\nRUN echo {project} > /made\nRUN --mount=type=cache,target=/c echo x >> /c/x; cp /made /more\n\
         FROM BASE/busybox\nCOPY --from=made /same /made /more /\nRUN cat /same /made /more > /all\n"
    )
}

#[test]
fn eight_processes_beside_collections_every_50_ms_miss_nothing_that_they_rely_on() {
    let rig = Rig::new();
    for project in 0..PROJECTS {
        let text = rig.lab.fill(&dockerfile(project));
        rig.lab.write(&format!("{project}.Dockerfile"), &text);
    }
    let until = Instant::now() + Duration::from_secs(length(20, 240) as u64);
    let (done, built, pruned) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let start = |words: &[&str]| -> Child {
        let mut command = rig.lab.command(words);
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    std::thread::scope(|scope| {
        let builders = (0..BUILDERS).map(|number| {
            let (start, built, mut random) = (&start, &built, Random(number as u64 + 1));
            let lab = &rig.lab;
            scope.spawn(move || {
                while Instant::now() < until {
                    let project = random.below(PROJECTS as u64);
                    let (file, out) = (format!("context/{project}.Dockerfile"), format!("out-{number}"));
                    let bound = ["--max-size=0", "--max-size=2m", "--max-size=1g"][random.below(3) as usize];
                    let words = ["build", "--progress=plain", bound, "-f", &file, "-o", &out, "context"];
                    let outcome = Outcome::of(start(&words).wait_with_output().unwrap());
                    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
                    let all = fs::read_to_string(lab.path().join(out).join("all")).unwrap();
                    assert_eq!(all, format!("same\n{project}\n{project}\n"));
                    built.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let builders: Vec<_> = builders.collect();
        let pruner = scope.spawn(|| {
            for round in 0usize.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let words: &[&str] = match round % 3 {
                    0 => &["prune", "--all"],
                    1 => &["prune", "--max-size=1m"],
                    _ => &["prune", "--filter", "type=snap"],
                };
                let outcome = Outcome::of(start(words).wait_with_output().unwrap());
                assert!([0, 12].contains(&outcome.code), "{}", outcome.stderr);
                pruned.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let failed: Vec<_> = builders
            .into_iter()
            .filter_map(|builder| builder.join().err())
            .collect();
        done.store(true, Ordering::Relaxed);
        pruner.join().unwrap();
        if let Some(failed) = failed.into_iter().next() {
            std::panic::resume_unwind(failed);
        }
    });
    println!("{built:?} builds beside {pruned:?} prunes");
    // Whoever comes next reclaims what the last ones had no time to delete.
    rig.digest(&[]);
    rig.is_tidy("the crowd");
    let verified = rig.verify(&[]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}
