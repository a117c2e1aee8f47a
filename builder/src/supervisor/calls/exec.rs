//! Starting programs: what a set-user-ID program or file capabilities give.

use std::ffi::CString;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, OFlags, StatVfsMountFlags, fstatvfs};
use rustix::io::Errno;
use snapshotter::CAPABILITY_XATTR;

use crate::supervisor::call::{AT_FDCWD, Call, Outcome, Reply};
use crate::supervisor::credentials::{FileCapabilities, Program};
use crate::supervisor::detour::{self, Given, Shebang};
use crate::supervisor::find::Last;
use crate::supervisor::permission::{self, Wanted};

/// How many interpreters may stand before each other; the kernel's limit.
const MAX_INTERPRETERS: usize = 5;

/// What the kernel reads of a script's first line.
const FIRST_LINE: usize = 256;

pub(super) fn execve(call: &Call<'_>) -> Outcome {
    let path = call.read_path(call.argument(0))?;
    start(call, call.find(AT_FDCWD, &path, Last::Follow)?, (AT_FDCWD, 0))
}

pub(super) fn execveat(call: &Call<'_>) -> Outcome {
    let flags = call.descriptor(4);
    let path = call.read_path(call.argument(1))?;
    let last = Last::unless(flags & libc::AT_SYMLINK_NOFOLLOW != 0);
    let allows_empty = flags & libc::AT_EMPTY_PATH != 0;
    start(
        call,
        call.find_or_descriptor(call.descriptor(0), &path, allows_empty, last)?,
        (call.descriptor(0), 1),
    )
}

/// The path begins at a descriptor, and is an argument of the call.
fn start(call: &Call<'_>, file: OwnedFd, (directory, path): (i32, usize)) -> Outcome {
    call.step.in_flight.wait();
    let mut file = file;
    let mut scripts = Vec::new();
    for _ in 0..MAX_INTERPRETERS {
        let attributes = call.attributes(&file)?;
        if attributes.file_type() != FileType::RegularFile {
            return Err(Errno::ACCESS);
        }
        permission::may(&call.credentials, &attributes, Wanted::EXECUTE)?;
        match shebang(call, &file)? {
            Some(script) => {
                file = call.find(AT_FDCWD, &script.interpreter, Last::Follow)?;
                scripts.push(script);
            }
            None => {
                let credentials = call.credentials.starting(&program(call, &file)?)?;
                if let Some(view) = &call.place.view
                    && view.programs().is_some()
                {
                    let given = Given::read(call, directory, path)?;
                    return detour::start(call, view, file, &scripts, &given, credentials);
                }
                call.step.starts.expect(call, &file, credentials)?;
                return Ok(Reply::Continue);
            }
        }
    }
    Err(Errno::LOOP)
}

/// Reads what a program's file says of whom it runs as.
fn program(call: &Call<'_>, file: &OwnedFd) -> Result<Program, Errno> {
    let attributes = call.attributes(file)?;
    let mut value = [0; 24];
    let value = call.place.xattr(file.as_fd(), CAPABILITY_XATTR, &mut value)?;
    let program = Program {
        uid: attributes.uid,
        gid: attributes.gid,
        mode: attributes.mode,
        capabilities: value.and_then(FileCapabilities::parse),
    };
    let is_inert = || fstatvfs(file).is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::NOSUID));
    Ok(if program.is_privileged() && is_inert() {
        program.without_privileges()
    } else {
        program
    })
}

/// Reads the first line of a script; `None` if the file is none.
fn shebang(call: &Call<'_>, file: &OwnedFd) -> Result<Option<Shebang>, Errno> {
    // The kernel will say what is wrong with a file that cannot be read.
    let Ok(content) = call.place.open(file, OFlags::RDONLY | OFlags::NONBLOCK) else {
        return Ok(None);
    };
    let mut line = [0; FIRST_LINE];
    let length = rustix::io::read(content, &mut line)?;
    let Some((name, argument)) = script(&line[..length]) else {
        return Ok(None);
    };
    let text = |bytes: &[u8]| CString::new(bytes).map_err(|_| Errno::NOEXEC);
    Ok(Some(Shebang {
        interpreter: text(name)?,
        argument: argument.map(text).transpose()?,
    }))
}

/// Reads who starts a script, and the one argument that it gets, from the beginning of the file; `None` if it is none.
pub(in crate::supervisor) fn script(beginning: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let line = beginning.strip_prefix(b"#!")?;
    let is_end = |byte: &u8| matches!(byte, b'\n' | 0);
    let line = line.split(is_end).next().unwrap_or_default().trim_ascii();
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let (name, argument) = match line.iter().position(blank) {
        // All the rest is one.
        Some(end) => (&line[..end], Some(line[end..].trim_ascii())),
        None => (line, None),
    };
    (!name.is_empty()).then_some((name, argument))
}
