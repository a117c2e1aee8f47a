//! A supervised step: how it comes to its supervisor, and how the supervisor comes and goes.
//!
//! ```text
//! step                                      monitor
//!   installs the filter
//!   sends what listens to it, and owners ─▶ starts the supervisor
//!   becomes the program                     watches over both
//!                                           asks whom new links belong to, ends the supervisor
//! ```

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::fstat;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use snapshotter::SpecialOwners;

use super::identity;
use crate::executor::plan::Supervised;
use crate::executor::setup_error::{OnPath, SetupError};
use crate::executor::wire;
use crate::supervisor::{self, Credentials, Finder, Ground, Inode, Owner, Supervisor};

/// The owners of files that croze makes for a step, by device and inode.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct InodeOwners(Vec<(Inode, Owner)>);

impl InodeOwners {
    /// Notes the owner of a file.
    pub(super) fn note(&mut self, file: &File, owner: Owner) -> rustix::io::Result<()> {
        let stat = fstat(file)?;
        self.0.push(((stat.st_dev, stat.st_ino), owner));
        Ok(())
    }
}

/// The step's end of the way to its supervisor.
pub(super) struct ToSupervisor {
    socket: UnixStream,
    finder: Finder,
    /// What the supervisor cannot find out by itself.
    pub(super) owners: InodeOwners,
}

impl ToSupervisor {
    /// Puts this process under supervision.
    pub(super) fn submit(self) -> Result<(), SetupError> {
        let listener = supervisor::submit(self.finder).on("put under supervision", "the step")?;
        self.send(&listener).on("send a listener to", "the supervisor")
    }

    fn send(mut self, listener: &OwnedFd) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let listener = [listener.as_fd()];
        ancillary.push(SendAncillaryMessage::ScmRights(&listener));
        // A descriptor takes at least one byte to ride on.
        sendmsg(&self.socket, &[IoSlice::new(b"l")], &mut ancillary, SendFlags::empty())?;
        wire::send(&self.owners, &mut self.socket)
    }
}

/// The monitor's end.
pub(super) struct Supervision {
    supervised: Supervised,
    state: State,
}

enum State {
    /// The step is not set up yet.
    Awaited(UnixStream),
    /// It never will be.
    Never,
    /// It has a supervisor.
    Running(Supervisor),
}

impl Supervision {
    /// Prepares for a step that is supervised; gives the step's end.
    pub(super) fn prepare(supervised: Option<Supervised>) -> io::Result<Option<(Self, ToSupervisor)>> {
        let Some(supervised) = supervised else {
            return Ok(None);
        };
        let (ours, theirs) = UnixStream::pair()?;
        let finder = match supervised.root {
            None => Finder::Kernel,
            Some(_) => Finder::Supervisor,
        };
        let supervision = Self {
            supervised,
            state: State::Awaited(ours),
        };
        let to_supervisor = ToSupervisor {
            socket: theirs,
            finder,
            owners: InodeOwners::default(),
        };
        Ok(Some((supervision, to_supervisor)))
    }

    /// Returns what becomes readable when [`go_on`](Self::go_on) has something to do.
    pub(super) fn source(&self) -> Option<BorrowedFd<'_>> {
        match &self.state {
            State::Awaited(socket) => Some(socket.as_fd()),
            State::Never => None,
            State::Running(supervisor) => Some(supervisor.alarm().as_fd()),
        }
    }

    /// Starts the supervisor when the step is ready for it, and fails when the supervisor has.
    pub(super) fn go_on(&mut self, step: Pid) -> io::Result<()> {
        match &mut self.state {
            State::Awaited(socket) => {
                let Some(listener) = receive(socket)? else {
                    // The step could not be set up; it says why elsewhere.
                    self.state = State::Never;
                    return Ok(());
                };
                let owners: InodeOwners = wire::receive(socket)?;
                self.state = State::Running(self.start(listener, step, owners)?);
                Ok(())
            }
            State::Never => Ok(()),
            State::Running(supervisor) => Err(supervisor.failure()),
        }
    }

    fn start(&self, listener: OwnedFd, step: Pid, InodeOwners(owners): InodeOwners) -> io::Result<Supervisor> {
        let Supervised {
            credentials,
            special_owners,
            root,
            ..
        } = &self.supervised;
        let first = Credentials::new(
            credentials.uid,
            credentials.gid,
            credentials.groups.clone(),
            identity::CAPABILITIES,
        );
        let ground = match root {
            None => Ground::of(step)?,
            Some(root) => Ground::below(root)?,
        };
        let supervisor = Supervisor::start(listener, ground, first)?;
        supervisor.note_owners(special_owners, owners)?;
        Ok(supervisor)
    }

    /// Ends the supervisor, whose step has ended, and returns the owners of what the step has made that cannot tell by
    /// itself.
    pub(super) fn finish(self) -> io::Result<SpecialOwners> {
        let State::Running(supervisor) = self.state else {
            return Ok(SpecialOwners::default());
        };
        let upper: Option<PathBuf> = self.supervised.upper;
        let found = upper.map(|upper| supervisor.special_owners(&upper)).transpose();
        supervisor.stop();
        Ok(found?.unwrap_or_default())
    }
}

/// Receives a descriptor; `None` at the end.
fn receive(socket: &mut UnixStream) -> io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = recvmsg(
        &*socket,
        &mut [IoSliceMut::new(&mut byte)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let descriptors = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let descriptor = descriptors.flatten().next();
    if received.bytes == 0 {
        return Ok(None);
    }
    descriptor.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
