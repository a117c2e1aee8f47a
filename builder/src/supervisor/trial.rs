//! Trying a supervisor out.

use std::cell::Cell;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::sys::prctl::set_dumpable;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::stat;
use rustix::io::retry_on_intr;
use rustix::process::{PidfdFlags, WaitOptions, chdir, getuid, pidfd_open, waitpid};
use rustix::thread::CapabilitySet;

use super::handover::{receive_submission, send_submission};
use super::{Credentials, FirstProcess, Ground, KnownOwners, Needs, Supervisor, elf, submit};
use crate::sys;

/// What a child ends with that is content.
const CONTENT: u8 = 42;

/// Supervises a child that asks who it is and whose `/proc/self` is, which takes notifications and its memory, and opens what
/// it is handed as a new descriptor (Linux 5.14). This process, which must have a single thread, is of no use afterwards.
pub fn try_supervision() -> io::Result<()> {
    // What the supervisor answers with a file that it has made.
    let status = || fs::read_to_string("/proc/self/status");
    let is_told_root = || status().is_ok_and(|status| status.contains("\nUid:\t0\t0\t0\t0\n"));
    let is_shown_root =
        || getuid().is_root() && stat("/proc/self").is_ok_and(|stat| stat.st_uid == 0) && is_told_root();
    supervise(Needs::Owners, Ground::own, || if is_shown_root() { CONTENT } else { 0 })
}

/// Supervises a child that takes a tree for its root, enters a directory of it and starts a program there that another
/// one starts, which takes tracing. The tree is made in an empty directory. This process, which must have a single
/// thread, is of no use afterwards.
pub fn try_detours(directory: &Path) -> io::Result<()> {
    let (tree, programs) = (directory.join("tree"), directory.join("programs"));
    fs::create_dir(&programs)?;
    for (name, program) in [
        ("bin/program", elf::smallest(0, Some("/lib/starter"))),
        ("lib/starter", elf::smallest(CONTENT, None)),
    ] {
        let path = tree.join(name);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(&path, program)?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    }
    supervise(
        Needs::OwnersAndPaths,
        || Ground::in_tree(&tree, Some(&programs)),
        || {
            let started = chdir("/bin").map_err(nix_error).and_then(|()| {
                let none: [&std::ffi::CStr; 0] = [];
                nix::unistd::execve(c"./program", &[c"program"], &none).map(|never| match never {})
            });
            started.map_or(1, |()| 1)
        },
    )
}

fn nix_error(error: rustix::io::Errno) -> nix::errno::Errno {
    nix::errno::Errno::from_raw(error.raw_os_error())
}

/// Supervises a child, which must be content.
fn supervise(needs: Needs, ground: impl FnOnce() -> io::Result<Ground>, child: impl FnOnce() -> u8) -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    let ends = Cell::new(Some((ours, theirs)));
    let process = {
        let ends = &ends;
        sys::fork(move || {
            let theirs = ends.take().map(|(_ours, theirs)| theirs);
            let submitted = || {
                // croze may not be looked at, and neither could its copy be.
                set_dumpable(true)?;
                send_submission(&theirs.ok_or(io::ErrorKind::BrokenPipe)?, &submit(needs)?)
            };
            submitted().map_or(1, |()| child())
        })?
    };
    let (ours, theirs) = ends.into_inner().ok_or(io::ErrorKind::BrokenPipe)?;
    drop(theirs);
    let supervisor = receive_submission(&ours)?.map(|submission| {
        let root = FirstProcess {
            pid: process,
            credentials: Credentials::new(0, 0, Vec::new(), CapabilitySet::CHOWN | CapabilitySet::DAC_OVERRIDE),
        };
        Supervisor::start(submission, ground()?, root, &KnownOwners::default())
    });
    let supervisor = supervisor.transpose()?;
    // Whoever waits for it otherwise is told of its stops, in the place of the thread that has stopped it.
    let alive = pidfd_open(process, PidfdFlags::empty())?;
    retry_on_intr(|| poll(&mut [PollFd::new(&alive, PollFlags::IN)], None))?;
    let ended = retry_on_intr(|| waitpid(Some(process), WaitOptions::empty()))?;
    let is_content = ended.is_some_and(|(_, status)| status.exit_status() == Some(CONTENT.into()));
    match supervisor {
        Some(supervisor) if is_content => {
            supervisor.stop();
            Ok(())
        }
        _ => Err(io::ErrorKind::PermissionDenied.into()),
    }
}
