//! The driver: croze as far as the sandbox goes. It reads a job, enters a user namespace, does it, and reports.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use builder::doctor;
use builder::executor::{Executor, Process, Stop};
use builder::progress::Stream;
use builder::rootless::{self, Caller, EnterError, id_map};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// First argument of a driver.
pub(crate) const ARGUMENT: &str = "--drive";

/// What a driver is to do.
#[derive(Serialize, Deserialize)]
pub(crate) enum Job {
    /// Run a step; if asked, stop it after a while, gently or now.
    Run {
        process: Box<Process>,
        scratch: PathBuf,
        stop_after: Option<(Duration, bool)>,
    },
    /// Enter the namespace and remove directories that belong to its ids.
    Remove { dirs: Vec<PathBuf> },
    /// Enter the namespace, or say why not and what to do.
    Enter,
    /// Enter a namespace, allow no further one in it, and try to enter one more.
    EnterBeyondLimit,
    /// Examine the machine and print what it has.
    Examine { state_root: PathBuf },
    /// Run a step many times, and report the milliseconds each took.
    Measure {
        process: Box<Process>,
        scratch: PathBuf,
        times: usize,
    },
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The step's exit code as a shell tells it, or the chain of errors.
    pub(crate) exit: Result<i32, String>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) milliseconds: Vec<f64>,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            exit: Ok(0),
            stdout: String::new(),
            stderr: String::new(),
            milliseconds: Vec::new(),
        }
    }
}

impl Report {
    fn failure(error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            text.push_str(&format!(": {error}"));
            source = error.source();
        }
        Self {
            exit: Err(text),
            ..Self::default()
        }
    }
}

pub(crate) fn main() -> ExitCode {
    let mut job = Vec::new();
    std::io::stdin().read_to_end(&mut job).unwrap();
    let report = perform(serde_json::from_slice(&job).unwrap());
    println!("{}", serde_json::to_string(&report).unwrap());
    ExitCode::SUCCESS
}

fn enter() -> Result<(), EnterError> {
    rootless::enter(&id_map::plan(&Caller::read()?)?)
}

fn perform(job: Job) -> Report {
    if let Job::Examine { state_root } = &job {
        let needs = doctor::examine(state_root, "/usr/bin".as_ref());
        return Report {
            exit: Ok(i32::from(!doctor::can_run(&needs))),
            stdout: serde_json::to_string(&needs).unwrap(),
            ..Report::default()
        };
    }
    let mut entered = enter();
    if let Job::EnterBeyondLimit = job {
        std::fs::write("/proc/sys/user/max_user_namespaces", "0").unwrap();
        entered = entered.and_then(|()| enter());
    }
    if let Err(error) = entered {
        let mut report = Report::failure(&error);
        report.stderr = error.remedy().unwrap_or_default();
        return report;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    match job {
        Job::Run {
            process,
            scratch,
            stop_after,
        } => {
            let executor = Executor::new(&scratch).unwrap();
            runtime.block_on(run(&executor, &process, stop_after))
        }
        Job::Remove { dirs } => {
            for dir in dirs {
                // Directories that a test never used are empty or gone.
                let _ = std::fs::remove_dir_all(dir);
            }
            Report::default()
        }
        Job::Enter | Job::EnterBeyondLimit | Job::Examine { .. } => Report {
            stdout: std::fs::read_to_string("/proc/self/status").unwrap(),
            stderr: std::fs::read_to_string("/proc/self/uid_map").unwrap(),
            ..Report::default()
        },
        Job::Measure {
            process,
            scratch,
            times,
        } => {
            let executor = Executor::new(&scratch).unwrap();
            measure(&executor, &runtime, *process, times)
        }
    }
}

async fn run(executor: &Executor, process: &Process, stop_after: Option<(Duration, bool)>) -> Report {
    let mut report = Report::default();
    let (asker, asked) = watch::channel(Stop::No);
    if let Some((delay, now)) = stop_after {
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            asker.send(if now { Stop::Now } else { Stop::Gently }).unwrap();
            asker.closed().await;
        });
    }
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let output = |stream, bytes: bytes::Bytes| match stream {
        Stream::Stdout => stdout.extend(bytes),
        Stream::Stderr => stderr.extend(bytes),
    };
    match executor.run(process, output, asked).await {
        Ok(exit) => report.exit = Ok(exit.shell_code()),
        Err(error) => report = Report::failure(&error),
    }
    report.stdout = String::from_utf8_lossy(&stdout).into_owned();
    report.stderr = String::from_utf8_lossy(&stderr).into_owned();
    report
}

fn measure(executor: &Executor, runtime: &tokio::runtime::Runtime, process: Process, times: usize) -> Report {
    let mut report = Report::default();
    let upper = process.rootfs.upper.clone().unwrap();
    for number in 0..times {
        let mut process = process.clone();
        let fresh = snapshotter::Upper {
            dir: upper.dir.join(number.to_string()),
            work: upper.work.join(number.to_string()),
        };
        std::fs::create_dir(&fresh.dir).unwrap();
        std::fs::create_dir(&fresh.work).unwrap();
        process.rootfs.upper = Some(fresh);
        let began = std::time::Instant::now();
        let ran = runtime.block_on(run(executor, &process, None));
        report.milliseconds.push(began.elapsed().as_secs_f64() * 1e3);
        assert_eq!(ran.exit, Ok(0), "{ran:?}");
    }
    report
}
