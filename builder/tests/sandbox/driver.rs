//! The driver: croze as far as the sandbox goes. It reads a job, enters a user namespace, does it, and reports.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use builder::doctor;
use builder::executor::{Executor, Process, Stop};
use builder::progress::Stream;
use builder::rung::{self, Confinement, ProcView, Rung};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// First argument of a driver.
pub(crate) const ARGUMENT: &str = "--drive";

/// What a driver is to enter and to do.
#[derive(Serialize, Deserialize)]
pub(crate) struct Order {
    /// The sandbox; `None` for the strongest.
    pub(crate) rung: Option<Rung>,
    /// Whether it shall do as if no new procfs could be mounted.
    pub(crate) bound_proc: bool,
    /// Whether the new mount API is to be missing.
    pub(crate) old_kernel: bool,
    pub(crate) job: Job,
}

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

fn enter(order: &Order, state_root: &Path) -> Result<Confinement, Report> {
    let mut confinement = match rung::enter(order.rung, state_root) {
        Ok(entered) => entered.confinement,
        Err(refused) => {
            let refusal = refused.trials[0].shortcoming().unwrap();
            let mut report = Report::failure(refusal);
            report.stderr = refusal.remedies().iter().map(|remedy| format!("{remedy}\n")).collect();
            return Err(report);
        }
    };
    if order.bound_proc {
        confinement.proc = ProcView::Bound;
    }
    Ok(confinement)
}

/// Makes the kernel answer as one from before the new mount API does.
fn forget_mount_api() {
    let calls = [
        libc::SYS_fsopen,
        libc::SYS_fsconfig,
        libc::SYS_fsmount,
        libc::SYS_fspick,
        libc::SYS_open_tree,
        libc::SYS_move_mount,
        libc::SYS_mount_setattr,
    ];
    let filter = SeccompFilter::new(
        calls.into_iter().map(|call| (call, Vec::new())).collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS as u32),
        std::env::consts::ARCH.try_into().unwrap(),
    );
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    builder::sys::install_filter(&program).unwrap();
}

fn perform(order: Order) -> Report {
    if order.old_kernel {
        forget_mount_api();
    }
    if let Job::Examine { state_root } = &order.job {
        let examination = doctor::examine(order.rung, state_root, "/usr/bin".as_ref());
        return Report {
            exit: Ok(i32::from(!examination.can_run())),
            stdout: serde_json::to_string(&examination).unwrap(),
            ..Report::default()
        };
    }
    let scratch = match &order.job {
        Job::Run { scratch, .. } | Job::Measure { scratch, .. } => scratch.clone(),
        _ => std::env::temp_dir(),
    };
    let mut entered = enter(&order, &scratch);
    if let Job::EnterBeyondLimit = order.job {
        std::fs::write("/proc/sys/user/max_user_namespaces", "0").unwrap();
        entered = entered.and_then(|_| enter(&order, &scratch));
    }
    let confinement = match entered {
        Ok(confinement) => confinement,
        Err(report) => return report,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    match order.job {
        Job::Run {
            process,
            scratch,
            stop_after,
        } => {
            let executor = Executor::new(&scratch, confinement).unwrap();
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
            let executor = Executor::new(&scratch, confinement).unwrap();
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
    let output = |stream, bytes: bytes::Bytes| {
        match stream {
            Stream::Stdout => stdout.extend(bytes),
            Stream::Stderr => stderr.extend(bytes),
        }
        std::future::ready(())
    };
    match executor.run(process, output, asked).await {
        Ok(ended) => report.exit = Ok(ended.exit.shell_code()),
        Err(error) => report = Report::failure(&error),
    }
    report.stdout = String::from_utf8_lossy(&stdout).into_owned();
    report.stderr = String::from_utf8_lossy(&stderr).into_owned();
    report
}

fn measure(executor: &Executor, runtime: &tokio::runtime::Runtime, process: Process, times: usize) -> Report {
    let mut report = Report::default();
    let upper = crate::rootfs::upper(&process).clone();
    for number in 0..times {
        let mut process = process.clone();
        let fresh = snapshotter::Upper {
            dir: upper.dir.join(number.to_string()),
            work: upper.work.join(number.to_string()),
        };
        std::fs::create_dir(&fresh.dir).unwrap();
        std::fs::create_dir(&fresh.work).unwrap();
        crate::rootfs::overlay(&mut process).upper = Some(fresh);
        let began = std::time::Instant::now();
        let ran = runtime.block_on(run(executor, &process, None));
        report.milliseconds.push(began.elapsed().as_secs_f64() * 1e3);
        assert_eq!(ran.exit, Ok(0), "{ran:?}");
    }
    report
}
