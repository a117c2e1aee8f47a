//! Calls that nobody but their caller can make, and that the kernel would make with another file than the step means: a
//! directory is entered, a program started, a socket bound.
//!
//! Instead of the call's answer its caller is stopped for a moment, as a debugger does it, and makes the call with a
//! descriptor of what is meant, or with memory of its own that nobody else knows; then it goes on as if its own call had
//! returned. Before and after that it is not traced: programs are neither slower for it, nor are signals, waiting and job
//! control anything else than they are.

mod beginning;
mod directory;
mod message;
mod path;
mod program;

use std::process::ExitStatus;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::Pid;

use super::Pass;
use super::call::{Call, Outcome, Reply, errno};
use crate::sys::{self, Lost, Response, Stopped};

pub(super) use directory::enter;
pub(super) use message::{Header, Written, send};
pub(super) use path::{bind, connect, open, open_patiently, watch};
pub(super) use program::{Given, Shebang, start};

/// What the kernel returns of a call that is to be made again: no program ever sees it.
const MADE_AGAIN: i32 = 513;

/// A call that its caller is to make in another way.
struct Detour {
    listener: OwnedFd,
    id: u64,
    thread: Pid,
    /// The address behind the instruction that made it.
    next: u64,
    pass: Pass,
    ended: Arc<Ended>,
}

impl Detour {
    fn of(call: &Call<'_>) -> Result<Self, Errno> {
        let listener = call.step.listener().try_clone_to_owned();
        Ok(Self {
            listener: listener.map_err(|error| errno(&error))?,
            id: call.notification.id,
            thread: call.thread(),
            next: call.notification.next,
            pass: call.step.pass,
            ended: Arc::clone(&call.step.ended),
        })
    }

    /// Has the caller go a way that returns what its call does. It has copies of descriptors meanwhile, whose numbers the
    /// way is told; it keeps those that the way takes out.
    fn take(
        self,
        lent: &[BorrowedFd<'_>],
        way: impl FnOnce(&mut Stopped, &mut Vec<u64>) -> Result<i64, Lost>,
    ) -> Outcome {
        let listener = self.listener.as_fd();
        // Before it is to stop, which in kernels before 5.19 ends its waiting for an answer.
        let numbers: Result<Vec<u64>, _> = lent
            .iter()
            .map(|descriptor| sys::lend_descriptor(listener, self.id, *descriptor))
            .collect();
        let mut numbers = numbers.map_err(|error| errno(&error))?;
        let stopping = sys::stop_after_call(self.thread).map_err(|error| errno(&error))?;
        // Kernels before 5.19 have begun the call anew by now: that it is to stop has interrupted it.
        let _interrupted = sys::respond(listener, self.id, Response::Fail(MADE_AGAIN));
        let gone = stopping.wait(self.next).and_then(|mut caller| {
            let gone = way(&mut caller, &mut numbers).and_then(|result| {
                if !caller.has_started() {
                    close(&mut caller, &numbers)?;
                }
                Ok(result)
            });
            match gone {
                Err(Lost::Failed(error)) => caller.release(-i64::from(errno(&error).raw_os_error())),
                result => caller.release(result?),
            }
        });
        if let Err(Lost::Ended { thread, status }) = gone {
            self.ended.note(thread, status);
        }
        Ok(Reply::Told)
    }
}

/// Has a call go a way that may take long, so that it has a thread of its own.
fn patiently(call: &Call<'_>, go: impl FnOnce(Detour) -> Outcome + Send + 'static) -> Outcome {
    let detour = Detour::of(call)?;
    let id = detour.id;
    let listener = detour.listener.try_clone().map_err(|error| errno(&error))?;
    let going = std::thread::Builder::new().name("supervisor".into()).spawn(move || {
        if let Err(error) = go(detour) {
            // Whoever called may have been killed meanwhile.
            let _gone = sys::respond(listener.as_fd(), id, Response::Fail(error.raw_os_error()));
        }
    });
    going.map(|_| Reply::Told).map_err(|error| errno(&error))
}

/// Takes back what was lent.
fn close(caller: &mut Stopped, numbers: &[u64]) -> Result<(), Lost> {
    for number in numbers {
        caller.call(libc::SYS_close, [*number, 0, 0, 0, 0, 0])?;
    }
    Ok(())
}

/// How the step's first process has ended, if it did while it was stopped: who stops a thread is told of its end in the
/// place of whoever waits for it, if both are one process. Whoever else ends like that, its parent is told afterwards.
pub(super) struct Ended {
    first: Pid,
    status: Mutex<Option<ExitStatus>>,
    is_noted: Condvar,
}

impl Ended {
    /// How long it takes at most from what `wait` says to its being noted here.
    const DELAY: Duration = Duration::from_secs(10);

    pub(super) fn of(first: Pid) -> Self {
        Self {
            first,
            status: Mutex::default(),
            is_noted: Condvar::new(),
        }
    }

    fn note(&self, thread: Pid, status: ExitStatus) {
        if thread == self.first {
            *self.status.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
            self.is_noted.notify_all();
        }
    }

    /// Returns what `wait` has said to a thread of the supervisor, which may be about to note it.
    pub(super) fn status(&self) -> Option<ExitStatus> {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .is_noted
            .wait_timeout_while(status, Self::DELAY, |status| status.is_none());
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn the_end_of_the_first_process_is_told_even_if_it_is_asked_for_before_it_is_noted() {
        let (first, other) = (Pid::from_raw(7).unwrap(), Pid::from_raw(8).unwrap());
        let ended = Ended::of(first);
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| ended.status());
            ended.note(other, ExitStatus::from_raw(1 << 8));
            std::thread::sleep(Duration::from_millis(20));
            ended.note(first, ExitStatus::from_raw(9));
            assert_eq!(asked.join().unwrap().and_then(|status| status.signal()), Some(9));
        });
    }
}
