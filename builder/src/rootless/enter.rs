//! Becoming root of a new user and mount namespace.
//!
//! ```text
//! croze                         copy of croze, outside
//!   fork ─────────────────────▶ waits
//!   unshare(user, mount)
//!   "go" ─────────────────────▶ writes the maps, or has newuidmap write them
//!   waits for its verdict ◀──── "done" or why not
//!   becomes uid 0, makes its mounts private
//! ```

use std::cell::Cell;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, iter};

use nix::sched::CloneFlags;
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{Pid, WaitOptions, waitpid};
use rustix::thread::{Gid, Uid, set_thread_res_gid, set_thread_res_uid};
use serde::{Deserialize, Serialize};

use super::error::EnterError;
use super::id_map::{IdMap, Mapping, Writer};
use crate::sys;

/// Where setuid helpers are installed. `PATH` is not asked: it may lead into a build context.
const HELPER_DIRS: [&str; 6] = [
    "/usr/bin",
    "/bin",
    "/usr/local/bin",
    "/usr/sbin",
    "/run/wrappers/bin",
    "/run/current-system/sw/bin",
];

/// Enters a new user namespace with these ids and a new mount namespace whose mounts are private.
///
/// Afterwards the process is uid 0 and gid 0 with all capabilities inside; it keeps its supplementary groups, so that
/// it can still read what the caller could. Must be called before there are threads.
pub fn enter(map: &IdMap) -> Result<(), EnterError> {
    let (go_reader, go) = io::pipe().map_err(system("make a pipe"))?;
    let (verdict, verdict_writer) = io::pipe().map_err(system("make a pipe"))?;
    let namespace = std::process::id();
    let our_ends = Cell::new(Some((go, verdict)));
    let in_copy = {
        let our_ends = &our_ends;
        move || {
            // Its copies of our ends would keep it from seeing that we are gone.
            drop(our_ends.take());
            write_maps_when_told(go_reader, verdict_writer, namespace, map)
        }
    };
    let mapper = sys::fork(in_copy).map_err(system("fork"))?;

    let entered = nix::sched::unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)
        .map_err(|error| why_refused(error.into()))
        .and_then(|()| {
            our_ends
                .take()
                .map_or(Ok(()), |(go, verdict)| maps_written(go, verdict))
        });
    drop(our_ends);
    reap(mapper)?;
    entered?;

    set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).map_err(errno("become group 0"))?;
    set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).map_err(errno("become user 0"))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).map_err(|error| {
        if apparmor_restricts() {
            return EnterError::AppArmor;
        }
        EnterError::NoMount { source: error.into() }
    })
}

/// Returns where a setuid helper is installed.
pub fn find_helper(name: &str) -> Option<PathBuf> {
    HELPER_DIRS
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.is_file())
}

/// Tells the mapper that the namespace exists and waits for its verdict.
fn maps_written(mut go: PipeWriter, mut verdict: PipeReader) -> Result<(), EnterError> {
    go.write_all(b"g").map_err(system("tell the mapper to go"))?;
    drop(go);
    let mut text = Vec::new();
    verdict.read_to_end(&mut text).map_err(system("hear from the mapper"))?;
    let died = || EnterError::System {
        verb: "write the id maps",
        source: io::ErrorKind::UnexpectedEof.into(),
    };
    let verdict: Result<(), MapFailure> = serde_json::from_slice(&text).map_err(|_| died())?;
    verdict.map_err(EnterError::from)
}

fn reap(mapper: Pid) -> Result<(), EnterError> {
    loop {
        match waitpid(Some(mapper), WaitOptions::empty()) {
            Err(Errno::INTR) => {}
            result => return result.map(|_| ()).map_err(errno("wait for the mapper")),
        }
    }
}

/// The copy's whole life.
fn write_maps_when_told(mut go: PipeReader, mut verdict: PipeWriter, namespace: u32, map: &IdMap) -> u8 {
    // The end of the pipe without a word means that the namespace could not be made.
    if go.read_exact(&mut [0]).is_err() {
        return 0;
    }
    let result = match map.writer {
        Writer::Direct => {
            write_map(namespace, "uid_map", &map.uids).and_then(|()| write_map(namespace, "gid_map", &map.gids))
        }
        Writer::Helpers => {
            run_helper(namespace, "newuidmap", &map.uids).and_then(|()| run_helper(namespace, "newgidmap", &map.gids))
        }
    };
    let text = serde_json::to_vec(&result).unwrap_or_default();
    u8::from(verdict.write_all(&text).is_err())
}

/// Why the maps were not written, in a form that can be sent.
#[derive(Debug, Serialize, Deserialize)]
enum MapFailure {
    NoHelper { name: String },
    Helper { program: PathBuf, message: String },
    Write { path: PathBuf, errno: i32 },
}

impl From<MapFailure> for EnterError {
    fn from(failure: MapFailure) -> Self {
        match failure {
            MapFailure::NoHelper { name } => Self::NoHelper { name },
            MapFailure::Helper { program, message } => Self::HelperFailed { program, message },
            MapFailure::Write { path, errno } => Self::WriteMap {
                path,
                source: io::Error::from_raw_os_error(errno),
            },
        }
    }
}

fn write_map(namespace: u32, file: &str, map: &[Mapping]) -> Result<(), MapFailure> {
    let path = PathBuf::from(format!("/proc/{namespace}/{file}"));
    let line = |mapping: &Mapping| format!("{} {} {}\n", mapping.inside, mapping.outside, mapping.count);
    let text: String = map.iter().map(line).collect();
    // The kernel takes the whole map in one write, once.
    fs::write(&path, text).map_err(|error| MapFailure::Write {
        path,
        errno: error.raw_os_error().unwrap_or_default(),
    })
}

fn run_helper(namespace: u32, name: &str, map: &[Mapping]) -> Result<(), MapFailure> {
    let program = find_helper(name).ok_or_else(|| MapFailure::NoHelper { name: name.into() })?;
    let numbers = map
        .iter()
        .flat_map(|mapping| [mapping.inside, mapping.outside, mapping.count]);
    let output = Command::new(&program)
        .args(iter::once(namespace).chain(numbers).map(|number| number.to_string()))
        .env_clear()
        .stdin(Stdio::null())
        .output();
    let message = match output {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    Err(MapFailure::Helper { program, message })
}

/// Finds the reason behind the error code of a refused `unshare`.
fn why_refused(error: io::Error) -> EnterError {
    let switch = |path: &str, off: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == off);
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EUSERS) => EnterError::LimitReached,
        Some(libc::EINVAL | libc::ENOSYS) => EnterError::NotInKernel,
        Some(libc::EPERM | libc::EACCES) => {
            if switch("/proc/sys/kernel/unprivileged_userns_clone", "0") {
                EnterError::SwitchedOff
            } else if apparmor_restricts() {
                EnterError::AppArmor
            } else if has_seccomp_filter() {
                EnterError::Seccomp
            } else {
                EnterError::Refused { source: error }
            }
        }
        _ => EnterError::Refused { source: error },
    }
}

fn apparmor_restricts() -> bool {
    fs::read_to_string("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").is_ok_and(|text| text.trim() == "1")
}

fn has_seccomp_filter() -> bool {
    let filtered = |line: &str| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2");
    fs::read_to_string("/proc/self/status").is_ok_and(|status| status.lines().any(filtered))
}

fn system(verb: &'static str) -> impl Fn(io::Error) -> EnterError {
    move |source| EnterError::System { verb, source }
}

fn errno(verb: &'static str) -> impl Fn(Errno) -> EnterError {
    move |error| system(verb)(error.into())
}
