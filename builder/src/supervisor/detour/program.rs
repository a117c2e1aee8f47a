//! Starting programs.
//!
//! The kernel gets a descriptor of a file that it can start. What it tells the new program of that descriptor is put right
//! before the program's first instruction: its path, its name, and of a script the arguments of whatever interprets it.

use std::ffi::CString;
use std::io;

use rustix::fd::{AsFd as _, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Signal, kill_process};

use super::Detour;
use super::beginning::Beginning;
use crate::supervisor::call::{AT_FDCWD, Call, Outcome};
use crate::supervisor::credentials::Credentials;
use crate::supervisor::view::{View, names};
use crate::sys::{self, Lost, Stopped};

/// How much is looked at of the kernel's own code for programs.
const KERNEL_CODE: usize = 8192;

/// Room below the stack that no program uses before its first instruction.
const UNUSED: u64 = 64;

/// What a program is started with.
pub(in crate::supervisor) struct Given {
    /// The path by which it is known.
    path: CString,
    /// Where an empty text is in the caller's memory.
    empty: u64,
    arguments: u64,
    environment: u64,
}

impl Given {
    /// Reads what comes from an argument on: path, arguments and environment. The path begins at a descriptor.
    pub(in crate::supervisor) fn read(call: &Call<'_>, directory: i32, first: usize) -> Result<Self, Errno> {
        let path = call.read_path(call.argument(first))?;
        let length = path.to_bytes().len() as u64;
        let path = match path.to_bytes() {
            [] => CString::new(format!("/dev/fd/{directory}")).map_err(|_| Errno::INVAL)?,
            relative if directory != AT_FDCWD && !relative.starts_with(b"/") => {
                let whole = [format!("/dev/fd/{directory}/").as_bytes(), relative].concat();
                CString::new(whole).map_err(|_| Errno::INVAL)?
            }
            _ => path,
        };
        Ok(Self {
            path,
            empty: call.argument(first) + length,
            arguments: call.argument(first + 1),
            environment: call.argument(first + 2),
        })
    }
}

/// A line with which a script names who interprets it.
pub(in crate::supervisor) struct Shebang {
    /// A path.
    pub(in crate::supervisor) interpreter: CString,
    /// What it is given before the path of the script.
    pub(in crate::supervisor) argument: Option<CString>,
}

/// Has the caller start a program, for whose scripts somebody else is started, with credentials.
pub(in crate::supervisor) fn start(
    call: &Call<'_>,
    view: &View,
    program: OwnedFd,
    scripts: &[Shebang],
    given: &Given,
    credentials: Credentials,
) -> Outcome {
    let programs = view.programs().ok_or(Errno::NOSYS)?;
    let program = programs.startable(call, &program)?;
    let detour = Detour::of(call)?;
    let pass = detour.pass.0;
    detour.take(&[program.as_fd()], |caller, lent| {
        let by_descriptor = libc::AT_EMPTY_PATH as u64;
        let arguments = [
            lent[0],
            given.empty,
            given.arguments,
            given.environment,
            by_descriptor,
            pass,
        ];
        let result = caller.call(libc::SYS_execveat, arguments)?;
        if result < 0 {
            return Ok(result);
        }
        let stack = caller.started()?;
        if credentials != *call.credentials || call.step.states.has_threads() {
            let started = call.step.states.start(call.place, caller.thread(), credentials);
            started.inspect_err(|_| {
                // It must not go on with those of the program before. Only one that has ended cannot be ended.
                let _ended = kill_process(caller.thread(), Signal::KILL);
            })?;
        }
        dress(caller, stack, given, &arguments_of(scripts, given))?;
        Ok(0)
    })
}

/// Returns what a script's interpreter gets in the place of its first argument.
fn arguments_of<'a>(scripts: &'a [Shebang], given: &'a Given) -> Vec<&'a [u8]> {
    let mut arguments = Vec::new();
    for script in scripts.iter().rev() {
        arguments.push(script.interpreter.to_bytes());
        arguments.extend(script.argument.as_ref().map(|argument| argument.to_bytes()));
    }
    if !arguments.is_empty() {
        arguments.push(given.path.to_bytes());
    }
    arguments
}

/// Puts right what the new program is told.
fn dress(caller: &mut Stopped, stack: u64, given: &Given, first: &[&[u8]]) -> Result<(), Lost> {
    let thread = caller.thread();
    let read = |address: u64, buffer: &mut [u8]| match sys::read_memory(thread, address, buffer)? {
        length if length == buffer.len() => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    };
    let write = |address: u64, bytes: &[u8]| match sys::write_memory(thread, address, bytes)? {
        length if length == bytes.len() => Ok(()),
        _ => Err(io::Error::from(io::ErrorKind::WriteZero)),
    };
    let beginning = Beginning::read(stack, read)?;
    let (stack, bytes) = beginning.with(given.path.to_bytes(), first);
    write(stack, &bytes)?;
    caller.set_stack(stack);
    let Some(instruction) = beginning.kernel_code().and_then(|code| find_call(code, read)) else {
        // Without such code there is no way to name it. Since Linux 6.14 it then has the name of its file.
        return Ok(());
    };
    caller.set_instruction(instruction);
    let mut name = names(given.path.to_bytes()).last().unwrap_or_default().to_vec();
    name.truncate(15);
    name.push(0);
    write(stack - UNUSED, &name)?;
    caller.call(libc::SYS_prctl, [libc::PR_SET_NAME as u64, stack - UNUSED, 0, 0, 0, 0])?;
    Ok(())
}

/// Finds an instruction that makes a system call.
fn find_call(code: u64, read: impl Fn(u64, &mut [u8]) -> io::Result<()>) -> Option<u64> {
    let mut bytes = vec![0; KERNEL_CODE];
    // It may be shorter.
    if read(code, &mut bytes).is_err() {
        bytes.truncate(KERNEL_CODE / 2);
        read(code, &mut bytes).ok()?;
    }
    let length = sys::CALL_INSTRUCTION.len();
    let step = if length == 4 { 4 } else { 1 };
    let mut places = (0..bytes.len() - length).step_by(step);
    let found = places.find(|place| bytes[*place..].starts_with(sys::CALL_INSTRUCTION))?;
    Some(code + found as u64)
}
