//! Stopping another thread for a moment to have it make system calls: `ptrace`, as far as that takes it.
//!
//! Whoever begins must do all the rest in the same thread.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use libc::c_long;
use rustix::process::Pid;

use super::check;
use super::registers::{CALL_INSTRUCTION, Registers};

const CONTINUE: c_long = 7;
const CONTINUE_TO_CALL: c_long = 24;
const DETACH: c_long = 17;
const GET_REGISTERS: c_long = 0x4204;
const SET_REGISTERS: c_long = 0x4205;
const SEIZE: c_long = 0x4206;
const INTERRUPT: c_long = 0x4207;
const GET_SIGNAL_MASK: c_long = 0x420a;
const SET_SIGNAL_MASK: c_long = 0x420b;

/// Tell stops at calls from signals, and let no thread outlive whoever has stopped it.
const OPTIONS: u64 = 0x0010_0001;

/// The set of registers that is asked for: `NT_PRSTATUS`.
const GENERAL: u64 = 1;

/// Size of the kernel's set of signals, in bytes.
const SIGNAL_SET_SIZE: u64 = 8;

/// What a call returns that a stop has interrupted, before the kernel looks whether it is to begin anew (`ERESTART*`).
const INTERRUPTED: [i64; 4] = [-512, -513, -514, -516];

/// What a stop at a call looks like.
const CALL_STOP: i32 = libc::SIGTRAP | 0x80;

/// The thread is not there any more, or cannot be told anything.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// It has ended, and nobody else will be told how.
    #[error("thread {} has ended", .thread.as_raw_pid())]
    Ended {
        /// Which.
        thread: Pid,
        /// What `wait` says of it.
        status: ExitStatus,
    },
    /// A request failed.
    #[error(transparent)]
    Failed(#[from] io::Error),
}

/// A thread that stops as soon as it returns to its program.
#[derive(Debug)]
pub struct Stopping {
    thread: Pid,
}

/// A thread that has stopped where its program made a system call.
#[derive(Debug)]
pub struct Stopped {
    thread: Pid,
    /// What it had when it stopped.
    before: Registers,
    /// The instruction behind the call.
    next: u64,
    /// Where an instruction is that makes a call.
    instruction: u64,
    mask: u64,
    has_started: bool,
}

/// Makes a thread stop when the system call that it is in has returned.
pub fn stop_after_call(thread: Pid) -> io::Result<Stopping> {
    request(SEIZE, thread, 0, OPTIONS)?;
    request(INTERRUPT, thread, 0, 0)?;
    Ok(Stopping { thread })
}

impl Stopping {
    /// Waits until it has stopped. `next` is the address behind the instruction with which it made the call.
    pub fn wait(self, next: u64) -> Result<Stopped, Lost> {
        // Whatever stops it first, it has not gone on.
        let (thread, _) = wait()?;
        debug_assert_eq!(thread, self.thread, "a thread stops one at a time");
        let before = registers(thread)?;
        if !before.have_called(next) {
            // Whoever made the call has ended, and this is somebody else, who has its number.
            ask(DETACH, thread, 0, 0)?;
            return Err(io::Error::from_raw_os_error(libc::ESRCH).into());
        }
        let mut mask = 0_u64;
        ask(GET_SIGNAL_MASK, thread, SIGNAL_SET_SIZE, &raw mut mask as u64)?;
        let stopped = Stopped {
            thread,
            before,
            next,
            instruction: next - CALL_INSTRUCTION.len() as u64,
            mask,
            has_started: false,
        };
        stopped.set_mask(u64::MAX)?;
        Ok(stopped)
    }
}

impl Stopped {
    /// Returns which thread it is: one that has started a program has become its process's first.
    pub fn thread(&self) -> Pid {
        self.thread
    }

    /// Has it make a system call, and returns what that returns: a number, or an error number below zero. Signals wait.
    ///
    /// The last argument may be a secret. The thread gets it in the kernel, behind the instruction that makes the call:
    /// what is there in the program's memory, and what comes instead of it, is the program's affair.
    pub fn call(&mut self, number: i64, arguments: [u64; 6]) -> Result<i64, Lost> {
        loop {
            match self.call_once(number, arguments)? {
                // What cannot be held back, as being frozen, comes as soon as the thread goes on.
                result if INTERRUPTED.contains(&result) => {}
                result => return Ok(result),
            }
        }
    }

    /// Does the same, but the signals that its program takes interrupt the call, as they would have its own. They come as
    /// soon as the thread is released with what this returns, which may be no error number that a program ever sees.
    pub fn call_interruptibly(&mut self, number: i64, arguments: [u64; 6]) -> Result<i64, Lost> {
        self.enter_call(number, arguments)?;
        self.set_mask(self.mask)?;
        let result = self.leave_call()?;
        // What comes afterwards is for the program as it was.
        self.set_mask(u64::MAX)?;
        Ok(result)
    }

    fn call_once(&mut self, number: i64, arguments: [u64; 6]) -> Result<i64, Lost> {
        self.enter_call(number, arguments)?;
        self.leave_call()
    }

    fn enter_call(&mut self, number: i64, [first @ .., last]: [u64; 6]) -> Result<(), Lost> {
        let [a, b, c, d, e] = first;
        let prepared = self.before.before_call(self.instruction, number, [a, b, c, d, e, 0]);
        set_registers(self.thread, prepared)?;
        self.go_to_call()?;
        if last != 0 {
            let entered = registers(self.thread)?;
            if !entered.has_entered(&prepared) {
                return Err(io::Error::from_raw_os_error(libc::EFAULT).into());
            }
            set_registers(self.thread, entered.with_last_argument(last))?;
        }
        Ok(())
    }

    fn leave_call(&mut self) -> Result<i64, Lost> {
        self.go_to_call()?;
        Ok(registers(self.thread)?.result())
    }

    /// Takes note that it has just started a program, and returns the end of the program's stack.
    pub fn started(&mut self) -> Result<u64, Lost> {
        self.before = registers(self.thread)?;
        self.next = self.before.next();
        self.has_started = true;
        Ok(self.before.stack())
    }

    /// Returns whether it has started a program meanwhile, so that nothing is left of what it was before.
    pub fn has_started(&self) -> bool {
        self.has_started
    }

    /// Sets where an instruction is that makes a system call.
    pub fn set_instruction(&mut self, address: u64) {
        self.instruction = address;
    }

    /// Sets the end of the stack with which it will go on.
    pub fn set_stack(&mut self, address: u64) {
        self.before.set_stack(address);
    }

    /// Lets it go on as if its own call had returned this.
    pub fn release(mut self, result: i64) -> Result<(), Lost> {
        let told = self.end_call(result);
        // Unless its end was waited for it is let go whatever it has been told.
        match told {
            Err(ended @ Lost::Ended { .. }) => Err(ended),
            told => ask(DETACH, self.thread, 0, 0).and(told),
        }
    }

    fn end_call(&mut self, result: i64) -> Result<(), Lost> {
        let is_interrupted = INTERRUPTED.contains(&result);
        let registers = if is_interrupted {
            // Where the kernel keeps the first argument of the last call, it begins anew with that.
            self.call_once(libc::SYS_getpid, [self.before.first_argument(), 0, 0, 0, 0, 0])?;
            self.before.interrupted_call(self.next, result)
        } else {
            self.before.after_call(self.next, result)
        };
        set_registers(self.thread, registers)?;
        self.set_mask(self.mask)?;
        if is_interrupted {
            // To where the kernel looks for signals and then whether the call is to begin anew. It would not look if another
            // thread had taken the signal meanwhile.
            ask(INTERRUPT, self.thread, 0, 0)?;
            ask(CONTINUE, self.thread, 0, 0)?;
            (self.thread, _) = wait()?;
        }
        Ok(())
    }

    fn set_mask(&self, mask: u64) -> Result<(), Lost> {
        ask(SET_SIGNAL_MASK, self.thread, SIGNAL_SET_SIZE, &raw const mask as u64)
    }

    /// Lets it go on to where it enters or leaves a call.
    fn go_to_call(&mut self) -> Result<(), Lost> {
        let mut signal = 0;
        loop {
            ask(CONTINUE_TO_CALL, self.thread, 0, signal)?;
            let (thread, status) = wait()?;
            self.thread = thread;
            signal = match status {
                CALL_STOP => return Ok(()),
                // All that can be held back is. What cannot stops the process, as soon as this thread is let go.
                _ if status >> 8 == 0 => u64::from(status.unsigned_abs()),
                _ => 0,
            };
        }
    }
}

fn registers(thread: Pid) -> Result<Registers, Lost> {
    let mut registers = Registers::empty();
    let mut buffer = libc::iovec {
        iov_base: registers.as_mut_ptr().cast(),
        iov_len: Registers::SIZE,
    };
    ask(GET_REGISTERS, thread, GENERAL, &raw mut buffer as u64)?;
    Ok(registers)
}

fn set_registers(thread: Pid, mut registers: Registers) -> Result<(), Lost> {
    let mut buffer = libc::iovec {
        iov_base: registers.as_mut_ptr().cast(),
        iov_len: Registers::SIZE,
    };
    ask(SET_REGISTERS, thread, GENERAL, &raw mut buffer as u64)
}

/// Waits until a thread stops that this thread has begun to stop; returns which, and the upper half of its status.
fn wait() -> Result<(Pid, i32), Lost> {
    loop {
        let mut status = 0;
        // SAFETY: the kernel writes one number.
        let thread = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
        let Some(thread) = Pid::from_raw(thread).filter(|_| thread > 0) else {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(error.into());
        };
        if libc::WIFSTOPPED(status) {
            return Ok((thread, status >> 8));
        }
        let status = ExitStatus::from_raw(status);
        return Err(Lost::Ended { thread, status });
    }
}

/// Makes a request of a thread that has stopped. One that does not take it has been killed: its end is waited for, of which
/// nobody is told, not even whoever waits for it, before whoever has stopped it was.
fn ask(what: c_long, thread: Pid, address: u64, data: u64) -> Result<(), Lost> {
    match request(what, thread, address, data) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => match wait() {
            Err(ended @ Lost::Ended { .. }) => Err(ended),
            _ => Err(error.into()),
        },
        result => Ok(result?),
    }
}

fn request(what: c_long, thread: Pid, address: u64, data: u64) -> io::Result<()> {
    // The kernel takes whole words, of which a shorter argument would only set a part.
    let thread = c_long::from(thread.as_raw_pid());
    // SAFETY: every request of this file either takes no pointer or one to a local value of the size that it says.
    check(unsafe { libc::syscall(libc::SYS_ptrace, what, thread, address, data) })
}
