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

/// How many programs can be about to start before those are looked for whose processes have ended meanwhile.
const MAX_STARTS: usize = 1 << 12;

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
    /// When the process was started: its number may mean another one later.
    started: u64,
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
        let process = call.place.process_of(call.thread())?;
        let start = Start {
            thread: call.thread(),
            started: call.place.started(process).map_err(|error| errno(&error))?,
            program: (stat.st_dev, stat.st_ino),
            credentials,
        };
        self.note(call.place, process, start)
    }

    /// Notes a start; fails when too many are about to happen.
    fn note(&self, place: &Place, process: Pid, start: Start) -> Result<(), Errno> {
        let mut starts = self.by_process.lock().unwrap_or_else(PoisonError::into_inner);
        if starts.len() >= MAX_STARTS {
            // Who was killed meanwhile makes no further call that would settle it.
            starts.retain(|process, start| place.started(*process).is_ok_and(|started| started == start.started));
        }
        if starts.len() >= MAX_STARTS && !starts.contains_key(&process) {
            return Err(Errno::AGAIN);
        }
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
            let is_same = || place.started(thread).is_ok_and(|started| started == start.started);
            if start.program == (running.st_dev, running.st_ino) && is_same() {
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

#[cfg(test)]
mod tests {
    use rustix::thread::CapabilitySet;

    use super::*;
    use crate::supervisor::place::Ground;

    fn start(thread: Pid, started: u64) -> Start {
        Start {
            thread,
            started,
            program: (1, 2),
            credentials: Credentials::new(0, 0, vec![], CapabilitySet::CHOWN),
        }
    }

    #[test]
    fn processes_that_are_killed_when_they_start_a_program_take_no_more_than_their_share() {
        std::thread::spawn(|| {
            let place = Place::enter(&Ground::own().unwrap()).unwrap();
            let starts = Starts::default();
            let own = rustix::process::getpid();
            let note = |process, started| starts.note(&place, process, start(process, started));
            note(own, place.started(own).unwrap()).unwrap();
            // No process has a number as high as these.
            for number in (i32::MAX - 20_000)..i32::MAX {
                note(Pid::from_raw(number).unwrap(), 0).unwrap();
                assert!(starts.count.load(Ordering::Acquire) <= MAX_STARTS);
            }
            assert!(
                starts.by_process.lock().unwrap().contains_key(&own),
                "one that lives stays"
            );
        })
        .join()
        .unwrap();
    }
}
