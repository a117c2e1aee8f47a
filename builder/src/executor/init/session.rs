//! What a process inherits and a step must not: a parent to outlive, a terminal, a directory, limits.

use std::ffi::OsStr;
use std::io::PipeWriter;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::unistd::dup2_stdin;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, fstatfs, openat};
use rustix::io::Errno;
use rustix::process::{
    Resource, Rlimit, Signal, fchdir, getcwd, getrlimit, set_parent_process_death_signal, setrlimit, setsid, umask,
};

use super::mounts::open_in;
use crate::executor::limits::ResourceLimit;
use crate::executor::setup_error::{OnPath, SetupError};

/// Limit on open files above which programs that close every possible one take minutes.
const MAX_OPEN_FILES: u64 = 1 << 20;

/// Asks the kernel to kill this process when the monitor dies. To be repeated whenever credentials have changed: that
/// makes the kernel forget.
pub(super) fn die_with_parent(report: &PipeWriter) -> Result<(), SetupError> {
    set_parent_process_death_signal(Some(Signal::KILL)).on("tie the step to", "the monitor")?;
    // The monitor may have died before: then the pipe it reads is broken.
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut report = [PollFd::new(report, PollFlags::empty())];
    poll(&mut report, Some(&now)).on("look for", "the monitor")?;
    if report[0].revents().contains(PollFlags::ERR) {
        return Err(Errno::PIPE).on("find", "the monitor");
    }
    Ok(())
}

/// Starts a session without a terminal and sets what else a program inherits.
pub(super) fn start() -> Result<(), SetupError> {
    setsid().on("start", "a session")?;
    umask(Mode::from_raw_mode(0o022));
    let null = openat(CWD, "/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).on("open", "/dev/null")?;
    dup2_stdin(&null).on("replace", "standard input")?;

    // A core dump would end up in the layer.
    let core = getrlimit(Resource::Core);
    limit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            ..core
        },
    )?;
    let files = getrlimit(Resource::Nofile);
    let current = files.current.unwrap_or(u64::MAX).min(MAX_OPEN_FILES);
    limit(
        Resource::Nofile,
        Rlimit {
            current: Some(current),
            ..files
        },
    )
}

fn limit(resource: Resource, limit: Rlimit) -> Result<(), SetupError> {
    setrlimit(resource, limit).on("limit", format!("{resource:?}"))
}

/// Sets a limit that was asked for. Only a real root may raise the hard one.
pub(super) fn limit_to(wanted: &ResourceLimit) -> Result<(), SetupError> {
    let Some(resource) = wanted.resource() else {
        return Ok(());
    };
    match setrlimit(resource, wanted.rlimit()) {
        Err(Errno::PERM) => Err(SetupError::LimitAboveHard {
            wanted: wanted.to_string(),
            permitted: getrlimit(resource).maximum,
        }),
        set => set.on("set the limit", wanted.to_string()),
    }
}

/// Enters the working directory, unless it lies in procfs: from there, descriptors of other processes can be walked.
pub(super) fn enter_working_directory(path: &Path) -> Result<(), SetupError> {
    let failed = |error: Errno| SetupError::WorkingDirectory {
        path: path.to_owned(),
        source: error.into(),
    };
    let root = openat(
        CWD,
        "/",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(failed)?;
    let dir = open_in(root.as_fd(), path).map_err(failed)?;
    let is_procfs = fstatfs(&dir).map_err(failed)?.f_type == PROC_SUPER_MAGIC;
    fchdir(&dir).map_err(failed)?;
    // In a changed root procfs is not there, but where it is seen.
    let entered = getcwd(Vec::new()).map_err(failed)?;
    if is_procfs || Path::new(OsStr::from_bytes(entered.to_bytes())).starts_with("/proc") {
        return Err(SetupError::WorkingDirectoryInProc { path: path.to_owned() });
    }
    Ok(())
}
