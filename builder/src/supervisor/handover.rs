//! How the listener of a step comes to its supervisor.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;

use rustix::fd::AsFd as _;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::{Pass, Submission};
use crate::sys;

/// Size of a pass in bytes.
const PASS: usize = size_of::<u64>();

/// Sends what a supervisor needs. Where messages are stopped too, this one has the pass: nobody is there to answer yet.
pub fn send_submission(socket: &UnixStream, submission: &Submission) -> io::Result<()> {
    let Submission { listener, pass } = submission;
    sys::send_descriptor(socket.as_fd(), &pass.0.to_ne_bytes(), listener.as_fd(), pass.0)
}

/// Receives it; `None` at the end.
pub fn receive_submission(socket: &UnixStream) -> io::Result<Option<Submission>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut pass = [0; PASS];
    let buffers = &mut [IoSliceMut::new(&mut pass)];
    let received = recvmsg(socket, buffers, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let descriptors = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let descriptor = descriptors.flatten().next();
    match (received.bytes, descriptor) {
        (0, _) => Ok(None),
        (PASS, Some(listener)) => Ok(Some(Submission {
            listener,
            pass: Pass(u64::from_ne_bytes(pass)),
        })),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
