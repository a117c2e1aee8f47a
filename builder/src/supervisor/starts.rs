//! Programs that are about to start with other credentials than their process has.
//!
//! The supervisor lets `execve` pass and does not see it return. Whether it has succeeded shows at the next call of the
//! process: either it runs the expected file, or the thread that tried is still there. A new program's first calls, which
//! open its libraries, come before anything it could do with its credentials.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fd::AsFd;
use rustix::fs::{AtFlags, fstat, statat};
use rustix::io::Errno;
use rustix::process::Pid;

use super::call::{Call, errno};
use super::credentials::Credentials;
use super::place::Place;
use super::specials::Inode;
use super::state::States;

/// The programs of all processes of a step that are about to start.
#[derive(Default)]
pub(super) struct Starts {
    by_process: Mutex<HashMap<Pid, Start>>,
    /// So that nobody waits for the lock when there are none.
    count: AtomicUsize,
}

struct Start {
    /// Who tries; as soon as it has succeeded its number is the process's.
    thread: Pid,
    program: Inode,
    credentials: Credentials,
}

impl Starts {
    /// Notes that a call starts a program, if that changes anything.
    pub(super) fn expect(&self, call: &Call<'_>, file: impl AsFd, credentials: Credentials) -> Result<(), Errno> {
        if credentials == *call.credentials && !call.step.states.has_threads() {
            return Ok(());
        }
        let stat = fstat(file)?;
        let start = Start {
            thread: call.thread(),
            program: (stat.st_dev, stat.st_ino),
            credentials,
        };
        let process = call.place.process_of(call.thread())?;
        let mut starts = self.by_process.lock().unwrap_or_else(PoisonError::into_inner);
        starts.insert(process, start);
        self.count.store(starts.len(), Ordering::Release);
        Ok(())
    }

    /// Takes note of a call: if its thread runs a program that was about to start, it has the program's credentials.
    pub(super) fn settle(&self, place: &Place, states: &States, thread: Pid) -> Result<(), Errno> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        let mut starts = self.by_process.lock().unwrap_or_else(PoisonError::into_inner);
        // A program's only thread has the number of its process.
        if let Some(start) = starts.get(&thread) {
            let exe = format!("{}/exe", thread.as_raw_pid());
            let running = statat(&place.proc, exe, AtFlags::empty())?;
            if start.program == (running.st_dev, running.st_ino) {
                let started = states.start(place, thread, start.credentials.clone());
                started.map_err(|error| errno(&error))?;
                starts.remove(&thread);
            }
        }
        // Whoever tried is still there to make another call: it has failed.
        starts.retain(|_, start| start.thread != thread);
        self.count.store(starts.len(), Ordering::Release);
        Ok(())
    }
}
