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
mod filter;
mod find;
mod handover;
mod machine;
mod owners;
mod permission;
mod place;
mod privileges;
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

use std::io;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::thread::set_no_new_privs;

use attributes::Inodes;
use machine::MachineFiles;
use shown::Terminals;
use starts::Starts;
use state::States;

pub use calls::Needs;
pub use credentials::Credentials;
pub use handover::{receive_listener, send_listener};
pub use place::Ground;
pub use specials::{Inode, Owner};
pub use threads::{Changes, KnownOwners, Supervisor};
pub use top_names::Top;
pub use trial::try_supervision;

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
}

impl Step {
    fn new(listener: OwnedFd, ground: Ground, first: Credentials) -> Self {
        Self {
            listener,
            ground,
            states: States::new(first),
            starts: Starts::default(),
            inodes: Inodes::new(),
            machine: MachineFiles::default(),
            terminals: Terminals::default(),
        }
    }

    fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// Makes this process the first one of a supervised step, and returns what its supervisor listens on. Files that the
/// finder is to find are asked for by calls that are stopped for no other reason.
///
/// From then on this process and all its descendants wait for answers: whoever gets the listener must be there.
pub fn submit(needs: Needs) -> io::Result<OwnedFd> {
    // The filter takes a privilege, or having given up all. Set-user-ID programs are none the worse for it: what they
    // give, the supervisor gives.
    set_no_new_privs(true)?;
    state::tag_first(rustix::process::getpid())?;
    let program = filter::compile(calls::rows(needs)).ok_or(io::ErrorKind::FileTooLarge)?;
    sys::install_listener(&program)
}
