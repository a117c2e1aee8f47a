//! Extended attributes other than those that are answered for everybody.

use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::{find_file, find_to_change, follows_all};
use crate::supervisor::call::{AT_FDCWD, Call, DONE, Outcome, Reply};
use crate::supervisor::calls::xattr::is_steps;
use crate::supervisor::find::Last;

/// The longest value that the kernel takes.
const MAX_VALUE: usize = 64 << 10;

/// Gets, sets or removes one. What is seen through a window has none.
pub(super) fn perform(call: &Call<'_>, last: Last) -> Outcome {
    let at = (AT_FDCWD, 0);
    let changes = !matches!(
        i64::from(call.notification.number),
        libc::SYS_getxattr | libc::SYS_lgetxattr
    );
    let found = if changes {
        find_to_change(call, at, last, 0)?
    } else {
        find_file(call, at, last)?
    };
    let Some(file) = found else {
        return Ok(Reply::Continue);
    };
    if !follows_all(call) && (!changes || call.is_machines(&file)?) {
        return Err(Errno::OPNOTSUPP);
    }
    let name = call.read_path(call.argument(1))?;
    if changes && !is_steps(name.to_bytes()) {
        // What the kernel says to whoever lacks rights that this process may have.
        return Err(Errno::PERM);
    }
    match i64::from(call.notification.number) {
        libc::SYS_setxattr | libc::SYS_lsetxattr => {
            let length = usize::try_from(call.argument(3)).unwrap_or(usize::MAX);
            if length > MAX_VALUE {
                return Err(Errno::TOOBIG);
            }
            let mut value = vec![0; length];
            call.read(call.argument(2), &mut value)?;
            let flags = XattrFlags::from_bits_retain(call.word(4));
            call.place.set_xattr(file.as_fd(), &name, &value, flags)?;
            Ok(DONE)
        }
        libc::SYS_removexattr | libc::SYS_lremovexattr => {
            call.place.remove_xattr(file.as_fd(), &name)?;
            Ok(DONE)
        }
        _ => get(call, &file, &name),
    }
}

fn get(call: &Call<'_>, file: &OwnedFd, name: &std::ffi::CStr) -> Outcome {
    let mut value = vec![0; MAX_VALUE];
    let length = rustix::fs::getxattr(call.place.name_of(file.as_fd()), name, &mut *value)?;
    let room = usize::try_from(call.argument(3)).unwrap_or(usize::MAX);
    if room > 0 {
        if room < length {
            return Err(Errno::RANGE);
        }
        call.write(call.argument(2), &value[..length])?;
    }
    Ok(Reply::Value(length as i64))
}
