//! Shows the processes of a step users, groups and owners that the machine cannot give them.
//!
//! Where a process may have one id only, every `chown` to another fails, and so does `setuid`; packages cannot be
//! installed. There the system calls that have to do with owners, modes and credentials are stopped by a seccomp filter
//! and answered by a *supervisor* that plays the kernel's part: what a file is taken for is in the store, beside the file
//! ([`InodeRecord`](snapshotter::InodeRecord)), whom a process takes itself for is in the supervisor and handed on by
//! the kernel from parent to child. All that works for static programs and every C library.
//!
//! | module | answers |
//! |---|---|
//! | `calls`, `filter` | which calls are stopped, and what becomes of each |
//! | `call` | who calls, with which arguments |
//! | `credentials`, `state`, `starts` | whom processes take themselves for; how that is handed on, also to programs |
//! | `attributes`, `specials`, `owners`, `machine`, `privileges` | what files are taken for, and when they lose of it |
//! | `find`, `walk`, `place`, `top_names`, `view` | which file a path means |
//! | `in_flight` | how the step gets files that were opened for it |
//! | `detour`, `programs`, `elf` | what only a process itself can do, and the kernel would do with another file |
//! | `permission` | who may do what |
//! | `status` | what `/proc` tells of it |
//! | `threads`, `seats`, `handover`, `trial` | who does the work, how it comes to its step, and whether it can |
//!
//! This is no security boundary, and the sandbox does not need it as one: what the supervisor lets pass, the kernel does
//! with the arguments that are in memory by then, and another thread may have changed them. Whatever a step gains so, it
//! gains over files and processes that are the step's own anyway. Docker's seccomp profile is in force beside the
//! supervisor; a call that it refuses never gets here.

mod attributes;
mod call;
mod calls;
mod credentials;
mod detour;
mod elf;
mod filter;
mod find;
mod handover;
mod in_flight;
mod machine;
mod owners;
mod permission;
mod place;
mod privileges;
mod programs;
mod seats;
pub mod shown;
mod specials;
mod starts;
mod state;
mod status;
mod threads;
mod top_names;
mod trial;
mod view;
mod walk;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod foreign;

use std::io;
use std::sync::Arc;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::process::Pid;
use rustix::thread::set_no_new_privs;

use attributes::Inodes;
use detour::Ended;
use in_flight::InFlight;
use machine::MachineFiles;
use shown::Terminals;
use starts::Starts;
use state::States;

pub use calls::Needs;
pub use credentials::Credentials;
pub use handover::{receive_submission, send_submission};
pub use place::Ground;
pub use specials::{Inode, Owner};
pub use threads::{Changes, KnownOwners, Supervisor};
pub use top_names::Top;
pub use trial::{try_detours, try_supervision};

use crate::sys;

/// What all threads of a supervisor share.
struct Step {
    listener: OwnedFd,
    ground: Ground,
    states: States,
    starts: Starts,
    inodes: Inodes,
    machine: MachineFiles,
    terminals: Terminals,
    in_flight: InFlight,
    /// What a call has for its last argument that is to be let pass.
    pass: Pass,
    /// How its first process has ended, if it did on a detour.
    ended: Arc<Ended>,
}

impl Step {
    fn new(Submission { listener, pass }: Submission, ground: Ground, first: FirstProcess) -> Self {
        Self {
            pass,
            ended: Arc::new(Ended::of(first.pid)),
            listener,
            ground,
            states: States::new(first.credentials),
            starts: Starts::default(),
            inodes: Inodes::new(),
            machine: MachineFiles::default(),
            terminals: Terminals::default(),
            in_flight: InFlight::default(),
        }
    }

    fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// What a call has for its last argument that is to be let pass, whatever it is: nobody knows it but the supervisor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pass(u64);

impl Pass {
    /// Makes a new one.
    fn draw() -> io::Result<Self> {
        sys::random().map(u64::from_ne_bytes).map(Self)
    }
}

/// The first process of a step.
pub struct FirstProcess {
    /// Its number where the supervisor is.
    pub pid: Pid,
    /// What it believes to have.
    pub credentials: Credentials,
}

/// What a supervisor gets of its step.
pub struct Submission {
    /// What the calls come from.
    pub listener: OwnedFd,
    /// What a call has that the supervisor has made the step make.
    pub pass: Pass,
}

/// Makes this process the first one of a supervised step, and returns what its supervisor needs.
///
/// From then on this process and all its descendants wait for answers: whoever gets the listener must be there.
pub fn submit(needs: Needs) -> io::Result<Submission> {
    // The filter takes a privilege, or having given up all. Set-user-ID programs are none the worse for it: what they
    // give, the supervisor gives.
    set_no_new_privs(true)?;
    state::tag_first(rustix::process::getpid())?;
    let pass = Pass::draw()?;
    let makes_calls = needs == Needs::OwnersAndPaths;
    let program =
        filter::compile(calls::rows(needs), makes_calls.then_some(pass)).ok_or(io::ErrorKind::FileTooLarge)?;
    let listener = sys::install_listener(&program)?;
    Ok(Submission { listener, pass })
}
