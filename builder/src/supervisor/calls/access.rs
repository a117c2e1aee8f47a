//! Whether a file may be used: the `access` family, and entering directories.

use crate::supervisor::call::{AT_FDCWD, Call, Outcome, Reply};
use crate::supervisor::find::Last;
use crate::supervisor::permission::{self, Wanted};

pub(super) fn access(call: &Call<'_>) -> Outcome {
    decide(call, (AT_FDCWD, 0), call.word(1), 0)
}

pub(super) fn faccessat(call: &Call<'_>) -> Outcome {
    decide(call, (call.descriptor(0), 1), call.word(2), 0)
}

pub(super) fn faccessat2(call: &Call<'_>) -> Outcome {
    decide(call, (call.descriptor(0), 1), call.word(2), call.descriptor(3))
}

fn decide(call: &Call<'_>, (directory, path): (i32, usize), wanted: u32, flags: i32) -> Outcome {
    let by_effective = flags & libc::AT_EACCESS != 0;
    let judged = if by_effective {
        (*call.credentials).clone()
    } else {
        call.credentials.for_access()
    };
    // Whatever could refuse root anything is not about owners and modes: a read-only mount, a missing file.
    if permission::passes_everywhere(&judged) && call.passes_to(call.argument(path))? {
        return Ok(Reply::Continue);
    }
    let path = call.read_path(call.argument(path))?;
    let last = Last::unless(flags & libc::AT_SYMLINK_NOFOLLOW != 0);
    let call = call.made_by(judged);
    let file = call.find_or_descriptor(directory, &path, flags & libc::AT_EMPTY_PATH != 0, last)?;
    permission::may(&call.credentials, &call.attributes(&file)?, Wanted(wanted & 7))?;
    Ok(Reply::Continue)
}

pub(super) fn chdir(call: &Call<'_>) -> Outcome {
    if call.passes_to(call.argument(0))? {
        return Ok(Reply::Continue);
    }
    let path = call.read_path(call.argument(0))?;
    let directory = call.find(AT_FDCWD, &path, Last::Follow)?;
    permission::may(&call.credentials, &call.attributes(&directory)?, Wanted::EXECUTE)?;
    Ok(Reply::Continue)
}
