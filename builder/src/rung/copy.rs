//! A copy of this process that tries something out and says what came of it.

use std::io::{self, BufRead as _, BufReader, PipeReader, PipeWriter, Write as _};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::sys;

/// How long a trial may keep croze waiting. A mount on a dead network file system can hang for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// An error number, as it crosses from one process to the other.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Number(i32);

impl Number {
    /// Returns that of an error.
    pub(super) fn of(error: impl Into<io::Error>) -> Self {
        Self(error.into().raw_os_error().unwrap_or(libc::EIO))
    }
}

impl From<Number> for io::Error {
    fn from(number: Number) -> Self {
        Self::from_raw_os_error(number.0)
    }
}

/// A copy of this process, killed when it is dropped.
///
/// Its end is waited for only on [`Copy::end`]: taking namespaces apart takes the kernel long, and who has heard what
/// there was to hear need not wait for that. Until this process ends, it then remains as a zombie.
pub(crate) struct Copy {
    process: Pid,
    answers: BufReader<PipeReader>,
    orders: Option<PipeWriter>,
}

/// The copy's side of the conversation.
pub(crate) struct Original {
    answers: PipeWriter,
    orders: PipeReader,
}

impl Copy {
    /// Starts a copy that does `life` and ends. Fails while the process has several threads.
    pub(crate) fn start(life: impl FnOnce(Original) -> io::Result<()>) -> io::Result<Self> {
        let (answers, their_answers) = io::pipe()?;
        let (their_orders, orders) = io::pipe()?;
        let original = Original {
            answers: their_answers,
            orders: their_orders,
        };
        // The copy closes its copies of this side: else it would not see that the original is gone.
        let ours = std::cell::Cell::new(Some((answers, orders)));
        let process = {
            let ours = &ours;
            let child = move || {
                drop(ours.take());
                u8::from(life(original).is_err())
            };
            sys::fork(child)?
        };
        let (answers, orders) = ours.into_inner().ok_or(Errno::PIPE)?;
        Ok(Self {
            process,
            answers: BufReader::new(answers),
            orders: Some(orders),
        })
    }

    /// Returns its process id.
    pub(crate) fn process(&self) -> Pid {
        self.process
    }

    /// Waits for what the copy says next.
    pub(crate) fn hear<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            if self.answers.buffer().is_empty() {
                wait_for_more(self.answers.get_ref())?;
            }
            let more = self.answers.fill_buf()?;
            let length = more
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(more.len(), |end| end + 1);
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            line.extend(&more[..length]);
            self.answers.consume(length);
        }
        Ok(serde_json::from_slice(&line)?)
    }

    /// Waits until it is gone.
    pub(crate) fn end(self) {
        let process = self.process;
        drop(self);
        while let Err(Errno::INTR) = waitpid(Some(process), WaitOptions::empty()) {}
    }

    /// Tells the copy to go on.
    pub(crate) fn go_on(&mut self) -> io::Result<()> {
        self.orders.as_mut().map_or(Ok(()), |orders| orders.write_all(b"g"))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // It may have ended by itself, but nobody has waited for it: the number is still its own.
        let _ended = kill_process(self.process, Signal::KILL);
    }
}

impl Original {
    /// Says something to the original.
    pub(crate) fn say(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.answers.write_all(&line)
    }

    /// Waits until the original says to go on; fails when that will never happen.
    pub(crate) fn await_go(&mut self) -> io::Result<()> {
        io::Read::read_exact(&mut self.orders, &mut [0])
    }
}

/// Runs a function in a copy and returns what it returned there.
pub(crate) fn in_copy<T: Serialize + DeserializeOwned>(function: impl FnOnce() -> T) -> io::Result<T> {
    let mut copy = Copy::start(|mut original| original.say(&function()))?;
    let answer = copy.hear();
    copy.end();
    answer
}

fn wait_for_more(pipe: &PipeReader) -> io::Result<()> {
    let patience = Timespec {
        tv_sec: PATIENCE.as_secs() as _,
        tv_nsec: 0,
    };
    loop {
        match poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&patience)) {
            Err(Errno::INTR) => {}
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            ready => return ready.map(drop).map_err(io::Error::from),
        }
    }
}
