//! The threads of a supervisor: they receive calls and answer them.
//!
//! Every thread that waits for a call is woken by each, and all but one in vain. So there are only as many as there is
//! work for: one that finds the next call waiting when it has answered the last, time and again, starts a further one,
//! and one that has to wait for its calls ends.

use std::collections::BTreeMap;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};
use snapshotter::{FileType, Root, SpecialOwners};

use super::call::{Call, Reply};
use super::calls::{self, Handler, Needs};
use super::owners::Seen;
use super::place::{Ground, Place};
use super::seats::{Seat, Seats};
use super::specials::{Inode, Owner};
use super::top_names::TopNames;
use super::{FirstProcess, Step, Submission, owners};
use crate::sys::{self, Notification, Response};

/// A call that is received faster than this had been waiting.
const WAITING: Duration = Duration::from_micros(2);

/// How many calls in a row must have been waiting before a further thread is started, and how many must not before a
/// thread ends.
const STREAK: u32 = 16;

/// Threads that answer the calls of one step.
pub struct Supervisor {
    crew: Arc<Crew>,
    alarm: PipeReader,
}

/// Where the changes of a step are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Changes {
    /// In an upper directory, which the step has seen through a mount.
    Upper(PathBuf),
    /// In this tree, whose files the step has seen themselves.
    Tree(PathBuf),
}

/// Owners that a step finds and the disk cannot tell.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct KnownOwners {
    /// Those of special files.
    pub by_path: SpecialOwners,
    /// Those of ordinary files that were made for the step.
    pub by_inode: Vec<(Inode, Owner)>,
}

/// What the threads share.
struct Crew {
    step: Step,
    /// What answers a call, by its number.
    handlers: Vec<Option<Handler>>,
    seats: Arc<Seats>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    is_stopping: AtomicBool,
    /// Tells that a thread has panicked.
    alarm: PipeWriter,
}

impl Supervisor {
    /// Starts to answer the calls of a step, whose files are on `ground`. Nothing is answered before the owners are known
    /// that cannot be found on disk.
    pub fn start(step: Submission, ground: Ground, first: FirstProcess, owners: &KnownOwners) -> io::Result<Self> {
        // Kernels before 6.6 are slower.
        let _not_supported = sys::wake_synchronously(std::os::fd::AsFd::as_fd(&step.listener));
        sys::let_threads_be_interrupted()?;
        let (alarm, writer) = io::pipe()?;
        let crew = Arc::new(Crew {
            handlers: handlers(ground.needs()),
            step: Step::new(step, ground, first),
            seats: Seats::new(thread::available_parallelism().map_or(1, Into::into)),
            threads: Mutex::default(),
            is_stopping: AtomicBool::new(false),
            alarm: writer,
        });
        let supervisor = Self { crew, alarm };
        supervisor.note(owners)?;
        let (started, has_started) = mpsc::channel();
        Crew::grow(&supervisor.crew, move |entered| {
            // Whoever started it is waiting for just this.
            let _received = started.send(entered);
        })?;
        has_started.recv().map_err(io::Error::other)??;
        Ok(supervisor)
    }

    /// Returns what becomes readable when the supervisor has failed, and the step must end.
    pub fn alarm(&self) -> &PipeReader {
        &self.alarm
    }

    /// Returns why the supervisor has failed; waits until it has.
    pub fn failure(&self) -> io::Error {
        let mut number = [0; 4];
        match (&self.alarm).read_exact(&mut number) {
            Ok(()) => io::Error::from_raw_os_error(i32::from_ne_bytes(number)),
            Err(error) => error,
        }
    }

    /// Returns what `wait` has said of the step's first process, of which nobody is told any more.
    pub fn status_of_first(&self) -> Option<ExitStatus> {
        self.crew.step.ended.status()
    }

    fn note(&self, owners: &KnownOwners) -> io::Result<()> {
        let specials = &self.crew.step.inodes.specials;
        for (inode, owner) in &owners.by_inode {
            specials.set(*inode, FileType::RegularFile, *owner)?;
        }
        if owners.by_path.is_empty() {
            return Ok(());
        }
        self.at_the_place(|place| owners::note(place, &owners.by_path, specials))
    }

    /// Returns which directories in a `/` that the step cannot change it seems to have made or removed, and whether they
    /// are there now.
    pub fn changed_top(&self) -> BTreeMap<PathBuf, bool> {
        self.crew
            .step
            .ground
            .top
            .as_ref()
            .map(TopNames::changed)
            .unwrap_or_default()
    }

    /// Returns the first path that the step could not make, because it is in a `/` that it cannot change.
    pub fn without_place(&self) -> Option<PathBuf> {
        self.crew.step.ground.top.as_ref().and_then(TopNames::without_place)
    }

    /// Returns the owners of what the step has made or changed and cannot be found on disk.
    pub fn special_owners(&self, changes: &Changes) -> io::Result<SpecialOwners> {
        let specials = &self.crew.step.inodes.specials;
        if specials.is_empty() {
            return Ok(SpecialOwners::default());
        }
        // The path means something else where the step is.
        let (Changes::Upper(directory) | Changes::Tree(directory)) = changes;
        let changed = Root::open(directory).map_err(|error| error.source)?;
        let seen = match changes {
            Changes::Upper(_) => Seen::BelowRoot,
            Changes::Tree(_) => Seen::There,
        };
        self.at_the_place(|place| owners::find(place, &changed, seen, specials))
    }

    /// Does something where the step is.
    fn at_the_place<T: Send>(&self, work: impl FnOnce(&Place) -> io::Result<T> + Send) -> io::Result<T> {
        let ground = &self.crew.step.ground;
        let worker = || Place::enter(ground).and_then(|place| work(&place));
        let done = thread::scope(|scope| scope.spawn(worker).join());
        done.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?
    }

    /// Ends all threads. The step must have ended.
    pub fn stop(self) {
        self.crew.is_stopping.store(true, Ordering::Release);
        loop {
            // Not for longer than this: a thread that ends may be about to note one that it has started.
            let last = self.crew.threads().pop();
            let Some(thread) = last else { return };
            while !thread.is_finished() {
                // It may have been about to wait when it was told.
                sys::interrupt(&thread);
                thread::sleep(Duration::from_micros(100));
            }
            // A panic has been told through the alarm.
            let _ended = thread.join();
        }
    }
}

/// Whether a call could not be received for a reason that has nothing to do with the next one.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::ENOENT | libc::ESRCH))
}

/// Sorts the table by number.
fn handlers(needs: Needs) -> Vec<Option<Handler>> {
    let mut handlers = Vec::new();
    for (number, _, handler) in calls::rows(needs) {
        let number = usize::try_from(*number).unwrap_or_default();
        if handlers.len() <= number {
            handlers.resize(number + 1, None);
        }
        handlers[number] = Some(*handler);
    }
    handlers
}

impl Crew {
    /// Starts a further thread, unless there are enough.
    fn grow(crew: &Arc<Self>, tell: impl FnOnce(io::Result<()>) + Send + 'static) -> io::Result<()> {
        let Some(seat) = crew.seats.take() else {
            return Ok(());
        };
        let worker = Arc::clone(crew);
        let thread = thread::Builder::new().name("supervisor".into()).spawn(move || {
            let _guard = Guard(&worker);
            match Place::enter(&worker.step.ground) {
                Ok(place) => {
                    tell(Ok(()));
                    if let Err(error) = Crew::work(&worker, &place, seat) {
                        worker.raise_alarm(&error);
                    }
                }
                Err(error) => {
                    drop(seat);
                    if worker.seats.are_empty() {
                        // The others have left because of it.
                        worker.raise_alarm(&error);
                    }
                    tell(Err(error));
                }
            }
        })?;
        let mut threads = crew.threads();
        // What is not joined keeps its stack.
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }

    /// Answers calls until there are none any more, or too few.
    fn work(crew: &Arc<Self>, place: &Place, mut seat: Seat) -> io::Result<()> {
        let (mut waiting, mut quiet) = (0, 0);
        while !crew.is_stopping.load(Ordering::Acquire) {
            let began = Instant::now();
            match sys::receive(crew.step.listener()) {
                Ok(notification) => {
                    if began.elapsed() < WAITING {
                        (waiting, quiet) = (waiting + 1, 0);
                    } else {
                        (waiting, quiet) = (0, quiet + 1);
                    }
                    crew.answer(place, notification);
                }
                // Whoever called has been killed, or this thread is to look whether it is to end.
                Err(error) if is_passing(&error) && !crew.is_over() => continue,
                Err(_) if crew.is_over() => return Ok(()),
                Err(error) => return Err(error),
            }
            if waiting == STREAK {
                waiting = 0;
                // Without a further thread it is slower.
                let _not_started = Crew::grow(crew, |_| ());
            }
            if quiet == STREAK {
                quiet = 0;
                if seat.give_back_unless_last() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn answer(&self, place: &Place, notification: Notification) {
        let handler = usize::try_from(notification.number)
            .ok()
            .and_then(|number| self.handlers.get(number).copied().flatten());
        let outcome = match handler {
            Some(handler) => Call::new(&self.step, place, notification).and_then(|call| match handler(&call)? {
                Reply::Continue => calls::perform(&call),
                reply => Ok(reply),
            }),
            None => Ok(Reply::Continue),
        };
        let response = match outcome {
            Ok(Reply::Value(value)) => Response::Return(value),
            Ok(Reply::Continue) => Response::Continue,
            Ok(Reply::Told) => return,
            Err(error) => Response::Fail(error.raw_os_error()),
        };
        // Whoever called may have been killed meanwhile.
        let _gone = sys::respond(self.step.listener(), notification.id, response);
    }

    /// Tells whoever has started the supervisor that it has failed.
    fn raise_alarm(&self, error: &io::Error) {
        let number = error.raw_os_error().unwrap_or(libc::EIO);
        // If nobody listens, nobody is left to supervise.
        let _nobody = (&self.alarm).write_all(&number.to_ne_bytes());
    }

    /// Whether no process is left that could make a call.
    fn is_over(&self) -> bool {
        let listener = self.step.listener();
        let mut listener = [PollFd::new(&listener, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut listener, Some(&now)).is_ok() && listener[0].revents().contains(PollFlags::HUP)
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Raises the alarm if its thread panics.
struct Guard<'a>(&'a Crew);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.raise_alarm(&io::ErrorKind::Other.into());
        }
    }
}
