//! What a process hands on to its children, and how it is found again.
//!
//! The kernel hands credentials on at every `fork`, before the child does anything and whoever dies first. Nothing that
//! watches system calls can follow that without gaps, so the kernel is made to hand these on as well: the number under
//! which a process's credentials are kept here stands in a resource limit of the process, the one on file locks, which
//! no kernel since 2.4 looks at. A child inherits it, a program keeps it, and the supervisor can read and change it. The
//! calls that would show or change it are answered here.
//!
//! A resource limit belongs to a process while credentials belong to a thread. Threads that have credentials of their
//! own, for a moment while the C library changes those of all, or for good in a file server, are in a table.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rustix::process::Pid;

use super::credentials::Credentials;
use super::place::Place;
use crate::sys;

/// The resource limit that nothing looks at.
pub(super) const TAG: u32 = libc::RLIMIT_LOCKS;

/// How many different credentials a step's processes can have had. One that has built a distribution has had a few dozen.
const MAX_KNOWN: usize = 1 << 14;

/// How many threads with credentials of their own are noted before those are looked for that have ended.
const MAX_THREADS: usize = 1 << 12;

/// What is written on a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tag {
    /// Which credentials it has.
    pub(super) credentials: u32,
    /// Its file mode creation mask.
    pub(super) umask: u32,
    /// Whether its root directory may be another than the step's.
    pub(super) chrooted: bool,
}

impl Tag {
    /// Of the step's first process.
    pub(super) const FIRST: Self = Self {
        credentials: 0,
        umask: 0o022,
        chrooted: false,
    };

    const CHROOTED: u64 = 1 << 41;

    pub(super) fn pack(self) -> u64 {
        let chrooted = if self.chrooted { Self::CHROOTED } else { 0 };
        u64::from(self.credentials) | u64::from(self.umask & 0o777) << 32 | chrooted
    }

    pub(super) fn unpack(limit: u64) -> Self {
        Self {
            credentials: limit as u32,
            umask: (limit >> 32) as u32 & 0o777,
            chrooted: limit & Self::CHROOTED != 0,
        }
    }
}

/// The credentials of all processes of a step.
pub(super) struct States {
    /// Never shrinks: what a tag means stays what it is.
    known: RwLock<Vec<Arc<Credentials>>>,
    /// Threads whose credentials differ from those of their process. Tags change only while this is locked.
    threads: Mutex<HashMap<Pid, ThreadState>>,
    /// How many those are, so that nobody waits for the lock when there are none.
    thread_count: AtomicUsize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct ThreadState {
    credentials: u32,
    /// When the thread was started: its number may mean another one later.
    started: u64,
}

impl States {
    /// Begins with the credentials of the first process.
    pub(super) fn new(first: Credentials) -> Self {
        Self {
            known: RwLock::new(vec![Arc::new(first)]),
            threads: Mutex::default(),
            thread_count: AtomicUsize::new(0),
        }
    }

    /// Returns the tag of a thread's process and the thread's credentials.
    pub(super) fn of(&self, place: &Place, thread: Pid) -> io::Result<(Tag, Arc<Credentials>)> {
        let mut tag = read(thread)?;
        if self.has_threads()
            && let Some(own) = self.threads().get(&thread)
            && place.started(thread)? == own.started
        {
            tag.credentials = own.credentials;
        }
        Ok((tag, self.known(tag)))
    }

    /// Returns the credentials that a tag means.
    pub(super) fn known(&self, tag: Tag) -> Arc<Credentials> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let index = usize::try_from(tag.credentials).unwrap_or_default();
        // A number that was never given out can only come from outside; the first process's is as good as any.
        Arc::clone(known.get(index).unwrap_or(&known[0]))
    }

    /// Returns whether threads have credentials that are not their process's.
    pub(super) fn has_threads(&self) -> bool {
        self.thread_count.load(Ordering::Acquire) > 0
    }

    /// Returns the number of credentials; fails when a step has had too many.
    fn number(&self, credentials: Credentials) -> io::Result<u32> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let index = match known.iter().position(|known| **known == credentials) {
            Some(index) => index,
            None if known.len() >= MAX_KNOWN => return Err(io::ErrorKind::WouldBlock.into()),
            None => {
                known.push(Arc::new(credentials));
                known.len() - 1
            }
        };
        Ok(index as u32)
    }

    /// Gives a thread other credentials; `siblings` are all threads of its process, itself among them.
    pub(super) fn change(
        &self,
        place: &Place,
        thread: Pid,
        siblings: &[Pid],
        credentials: Credentials,
    ) -> io::Result<()> {
        let credentials = self.number(credentials)?;
        let mut threads = self.threads();
        if siblings.len() > 1 {
            let started = place.started(thread)?;
            if threads.len() >= MAX_THREADS {
                // Those that have ended.
                threads.retain(|thread, state| place.started(*thread).is_ok_and(|started| started == state.started));
            }
            threads.insert(thread, ThreadState { credentials, started });
            let agrees = |other| threads.get(other).is_some_and(|state| state.credentials == credentials);
            if !siblings.iter().all(agrees) {
                self.thread_count.store(threads.len(), Ordering::Release);
                return Ok(());
            }
        }
        write(
            thread,
            Tag {
                credentials,
                ..read(thread)?
            },
        )?;
        threads.retain(|thread, _| !siblings.contains(thread));
        self.thread_count.store(threads.len(), Ordering::Release);
        Ok(())
    }

    /// Gives a process whose only thread is a new program's the credentials of the program.
    pub(super) fn start(&self, place: &Place, thread: Pid, credentials: Credentials) -> io::Result<()> {
        self.change(place, thread, &[thread], credentials)
    }

    /// Changes what else is written on a thread's process.
    pub(super) fn retag(&self, thread: Pid, change: impl FnOnce(Tag) -> Tag) -> io::Result<()> {
        let _nobody_else_writes = self.threads();
        write(thread, change(read(thread)?))
    }

    fn threads(&self) -> MutexGuard<'_, HashMap<Pid, ThreadState>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a process the first one of a step.
pub(super) fn tag_first(process: Pid) -> io::Result<()> {
    write(process, Tag::FIRST)
}

fn read(thread: Pid) -> io::Result<Tag> {
    sys::limit_of(thread, TAG).map(|(limit, _)| Tag::unpack(limit))
}

fn write(thread: Pid, tag: Tag) -> io::Result<()> {
    let (_, maximum) = sys::limit_of(thread, TAG)?;
    sys::set_limit_of(thread, TAG, (tag.pack(), maximum))
}

/// Finds the tag in `/proc/PID/limits`, for a process whose number is that of another pid namespace.
pub(super) fn tag_in_limits(limits: &str) -> Option<Tag> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max file locks"))?;
    line.split_whitespace().next()?.parse().ok().map(Tag::unpack)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use rustix::thread::CapabilitySet;

    use super::*;
    use crate::supervisor::place::Ground;

    fn root() -> Credentials {
        Credentials::new(0, 0, vec![], CapabilitySet::CHOWN)
    }

    fn user() -> Credentials {
        Credentials::new(1000, 1000, vec![], CapabilitySet::CHOWN)
    }

    /// A process to write on.
    struct Sleeper(Child);

    impl Sleeper {
        fn start() -> Self {
            Self(Command::new("sleep").arg("9").spawn().unwrap())
        }

        fn pid(&self) -> Pid {
            Pid::from_child(&self.0)
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    #[test]
    fn a_tag_is_read_back() {
        for chrooted in [false, true] {
            let tag = Tag {
                credentials: u32::MAX,
                umask: 0o777,
                chrooted,
            };
            assert_eq!(Tag::unpack(tag.pack()), tag);
            let limits = format!(
                "Max file size  1 2 bytes\nMax file locks  {}  unlimited  locks\n",
                tag.pack()
            );
            assert_eq!(tag_in_limits(&limits), Some(tag));
        }
        assert_eq!(tag_in_limits("Max file locks unlimited unlimited locks\n"), None);
    }

    #[test]
    fn a_child_has_the_credentials_that_its_parent_had_when_it_was_made() {
        // Directories of a thread cannot be given up for the test's own thread, nor is there a need to.
        std::thread::spawn(|| {
            let place = Place::enter(&Ground::own().unwrap()).unwrap();
            let states = States::new(root());
            let own = rustix::process::getpid();
            tag_first(own).unwrap();
            let first = Sleeper::start();
            states.change(&place, own, &[own], user()).unwrap();
            let second = Sleeper::start();
            states.change(&place, own, &[own], root()).unwrap();
            assert_eq!(*states.of(&place, first.pid()).unwrap().1, root());
            assert_eq!(*states.of(&place, second.pid()).unwrap().1, user());
        })
        .join()
        .unwrap();
    }

    #[test]
    fn credentials_without_end_are_refused() {
        let states = States::new(root());
        let of = |uid| states.number(Credentials::new(uid, 0, vec![], CapabilitySet::CHOWN));
        let numbers = (1..).map_while(|uid| of(uid).ok()).count();
        assert_eq!(numbers, MAX_KNOWN - 1);
        assert_eq!(of(1).unwrap(), 1, "what was there before stays");
    }

    #[test]
    fn threads_have_their_own_until_all_agree() {
        std::thread::spawn(|| {
            let place = Place::enter(&Ground::own().unwrap()).unwrap();
            let states = States::new(root());
            let (one, other) = (Sleeper::start(), Sleeper::start());
            for sleeper in [&one, &other] {
                tag_first(sleeper.pid()).unwrap();
            }
            // Two processes play the two threads of one.
            let siblings = [one.pid(), other.pid()];
            states.change(&place, one.pid(), &siblings, user()).unwrap();
            assert_eq!(*states.of(&place, one.pid()).unwrap().1, user());
            assert_eq!(*states.of(&place, other.pid()).unwrap().1, root());
            states.change(&place, other.pid(), &siblings, user()).unwrap();
            assert!(!states.has_threads());
            assert_eq!(*states.of(&place, other.pid()).unwrap().1, user());
        })
        .join()
        .unwrap();
    }
}
