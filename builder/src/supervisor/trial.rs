//! Trying a supervisor out.

use std::cell::Cell;
use std::os::unix::net::UnixStream;
use std::{fs, io};

use rustix::fs::stat;
use rustix::process::{WaitOptions, getuid, waitpid};
use rustix::thread::CapabilitySet;

use super::handover::{receive_listener, send_listener};
use super::{Credentials, Ground, KnownOwners, Needs, Supervisor, submit};
use crate::sys;

/// Supervises a child that asks who it is and whose `/proc/self` is, which takes notifications and its memory, and opens what it is
/// handed as a new descriptor (Linux 5.14). This process, which must have a single thread, is of no use afterwards.
pub fn try_supervision() -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    let ends = Cell::new(Some((ours, theirs)));
    let child = {
        let ends = &ends;
        sys::fork(move || {
            let theirs = ends.take().map(|(_ours, theirs)| theirs);
            u8::from(theirs.is_none_or(|theirs| !is_shown_root(&theirs)))
        })?
    };
    let (ours, theirs) = ends.into_inner().ok_or(io::ErrorKind::BrokenPipe)?;
    drop(theirs);
    let supervisor = receive_listener(&ours)?.map(|listener| {
        let root = Credentials::new(0, 0, Vec::new(), CapabilitySet::CHOWN);
        Supervisor::start(listener, Ground::own()?, root, &KnownOwners::default())
    });
    let supervisor = supervisor.transpose()?;
    let ended = rustix::io::retry_on_intr(|| waitpid(Some(child), WaitOptions::empty()))?;
    let is_content = ended.is_some_and(|(_, status)| status.exit_status() == Some(0));
    match supervisor {
        Some(supervisor) if is_content => {
            supervisor.stop();
            Ok(())
        }
        _ => Err(io::ErrorKind::PermissionDenied.into()),
    }
}

fn is_shown_root(socket: &UnixStream) -> bool {
    let submitted = submit(Needs::Owners).and_then(|listener| send_listener(socket, &listener));
    let is_root = submitted.is_ok() && getuid().is_root() && stat("/proc/self").is_ok_and(|stat| stat.st_uid == 0);
    // What the supervisor answers with a file that it has made.
    let status = || fs::read_to_string("/proc/self/status");
    is_root && status().is_ok_and(|status| status.contains("\nUid:\t0\t0\t0\t0\n"))
}
