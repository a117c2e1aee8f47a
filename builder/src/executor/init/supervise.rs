//! A supervised step: how it comes to its supervisor, and how the supervisor comes and goes.
//!
//! ```text
//! step                                      monitor
//!   installs the filter
//!   sends what listens to it, and owners ─▶ starts the supervisor
//!   becomes the program                     watches over both
//!                                           asks whom new links belong to, ends the supervisor
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitStatus;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::fstat;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use snapshotter::SpecialOwners;

use super::identity;
use crate::executor::plan::{StepRoot, Supervised};
use crate::executor::setup_error::{OnPath, SetupError};
use crate::executor::wire;
use crate::supervisor::{
    self, Credentials, FirstProcess, Ground, Inode, KnownOwners, Needs, Owner, Submission, Supervisor, Top,
};

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
    /// What the supervisor cannot find out by itself.
    pub(super) owners: InodeOwners,
}

impl ToSupervisor {
    /// Puts this process under supervision.
    pub(super) fn submit(mut self, needs: Needs) -> Result<(), SetupError> {
        let submission = supervisor::submit(needs).on("put under supervision", "the step")?;
        let sent = supervisor::send_submission(&self.socket, &submission);
        let sent = sent.and_then(|()| wire::send(&self.owners, &mut self.socket));
        sent.on("send a listener to", "the supervisor")
    }
}

/// The monitor's end.
pub(super) struct Supervision {
    supervised: Supervised,
    /// The names in `/`, if the step cannot change them.
    top: Option<Top>,
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
    /// Prepares for a step that is supervised; gives the step's end. Without a mount namespace of its own the step has
    /// these names in `/`.
    pub(super) fn prepare(
        supervised: Option<Supervised>,
        top: Option<Top>,
    ) -> io::Result<Option<(Self, ToSupervisor)>> {
        let Some(supervised) = supervised else {
            return Ok(None);
        };
        if let Some(StepRoot {
            programs: Some(programs),
            ..
        }) = &supervised.root
        {
            fs::create_dir_all(programs)?;
        }
        let (ours, theirs) = UnixStream::pair()?;
        let supervision = Self {
            supervised,
            top,
            state: State::Awaited(ours),
        };
        let owners = InodeOwners::default();
        Ok(Some((supervision, ToSupervisor { socket: theirs, owners })))
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
                let Some(submission) = supervisor::receive_submission(socket)? else {
                    // The step could not be set up; it says why elsewhere.
                    self.state = State::Never;
                    return Ok(());
                };
                let owners: InodeOwners = wire::receive(socket)?;
                self.state = State::Running(self.start(submission, step, owners)?);
                Ok(())
            }
            State::Never => Ok(()),
            State::Running(supervisor) => Err(supervisor.failure()),
        }
    }

    fn start(&self, submission: Submission, step: Pid, InodeOwners(owners): InodeOwners) -> io::Result<Supervisor> {
        let Supervised {
            credentials,
            special_owners,
            root,
            ..
        } = &self.supervised;
        let first = FirstProcess {
            pid: step,
            credentials: Credentials::new(
                credentials.uid,
                credentials.gid,
                credentials.groups.clone(),
                identity::CAPABILITIES,
            ),
        };
        let ground = match (root, &self.top) {
            (Some(StepRoot { tree, programs }), _) => Ground::in_tree(tree, programs.as_deref())?,
            (None, Some(top)) => Ground::below(top.clone())?,
            (None, None) => Ground::of(step)?,
        };
        let owners = KnownOwners {
            by_path: special_owners.clone(),
            by_inode: owners,
        };
        Supervisor::start(submission, ground, first, &owners)
    }

    /// Returns which directories in a `/` that the step cannot change it seems to have made or removed, and whether they
    /// are there now.
    pub(super) fn changed_top(&self) -> BTreeMap<PathBuf, bool> {
        match &self.state {
            State::Running(supervisor) => supervisor.changed_top(),
            State::Awaited(_) | State::Never => BTreeMap::new(),
        }
    }

    /// Returns the first path that the step could not make, because it is in a `/` that it cannot change.
    pub(super) fn without_place(&self) -> Option<PathBuf> {
        match &self.state {
            State::Running(supervisor) => supervisor.without_place(),
            State::Awaited(_) | State::Never => None,
        }
    }

    /// Returns what was said to the supervisor of the end of the step's first process, if nobody is told of it any more.
    pub(super) fn status_of_first(&self) -> Option<ExitStatus> {
        match &self.state {
            State::Running(supervisor) => supervisor.status_of_first(),
            State::Awaited(_) | State::Never => None,
        }
    }

    /// Ends the supervisor, whose step has ended, and returns the owners of what the step has made that cannot tell by
    /// itself.
    pub(super) fn finish(self) -> io::Result<SpecialOwners> {
        let State::Running(supervisor) = self.state else {
            return Ok(SpecialOwners::default());
        };
        let changes = self.supervised.changes;
        let found = changes.map(|changes| supervisor.special_owners(&changes)).transpose();
        supervisor.stop();
        Ok(found?.unwrap_or_default())
    }
}
