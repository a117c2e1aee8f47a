//! The starter: forks a monitor for every step that croze asks for.

use std::cell::Cell;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{WaitOptions, wait};

use super::monitor::{self, Ends};
use crate::executor::wire::{self, Outcome};
use crate::sys;

/// The starter's whole life. Its standard input is the socket with croze's requests, whose end is croze's.
pub(super) fn main() -> ExitCode {
    let requests = io::stdin();
    loop {
        match next_request(requests.as_fd()) {
            Ok(Some(ends)) => fork_monitor(ends),
            Ok(None) => return ExitCode::SUCCESS,
            Err(_) => return ExitCode::FAILURE,
        }
    }
}

/// Receives the descriptors of one monitor, in the order in which croze sends them.
fn next_request(requests: BorrowedFd<'_>) -> rustix::io::Result<Option<Ends>> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    loop {
        let buffers = &mut [IoSliceMut::new(&mut byte)];
        match recvmsg(requests, buffers, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            Ok(received) if received.bytes == 0 => return Ok(None),
            received => break received.map(drop)?,
        }
    }
    let descriptors = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let mut descriptors = descriptors.flatten();
    let mut next = || descriptors.next().ok_or(Errno::BADMSG);
    Ok(Some(Ends {
        control: UnixStream::from(next()?),
        stdout: next()?,
        stderr: next()?,
    }))
}

fn fork_monitor(ends: Ends) {
    // Those that have ended since the last request; the others outlive this loop's interest in them.
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
    let ends = Cell::new(Some(ends));
    let forked = sys::fork(|| ends.take().map_or(1, monitor::main));
    if let (Err(error), Some(Ends { mut control, .. })) = (forked, ends.take()) {
        let outcome = Outcome::MonitorFailed {
            verb: "fork".into(),
            errno: error.raw_os_error().unwrap_or_default(),
        };
        // If croze is gone there is nobody to tell.
        let _told = wire::send(&outcome, &mut control);
    }
}
