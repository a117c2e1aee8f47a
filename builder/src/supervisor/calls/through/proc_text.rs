//! Files of procfs that tell a step less than it would be told with mounts of its own: its root is no mount, so that
//! none would be listed.

use rustix::fd::OwnedFd;
use rustix::fs::{MemfdFlags, SeekFrom, memfd_create, seek};
use rustix::io::{Errno, retry_on_intr, write};

use crate::supervisor::call::{Call, errno};
use crate::supervisor::find::{Found, is_in_proc};

/// Names of lists of mounts, and the field of a line that is the mount point.
const LISTS: [(&[u8], usize); 3] = [(b"mountinfo", 4), (b"mounts", 1), (b"mountstats", 4)];

/// Returns what the step gets instead of a file, if it is such a list: the machine's, without what it does not see.
pub(super) fn of(call: &Call<'_>, found: &Found) -> Result<Option<OwnedFd>, Errno> {
    let list = LISTS.iter().find(|(name, _)| *name == found.name.to_bytes());
    let (Some((name, field)), Some(view)) = (list, &call.place.view) else {
        return Ok(None);
    };
    if !is_in_proc(&found.directory) {
        return Ok(None);
    }
    let own = format!("/proc/self/{}", String::from_utf8_lossy(name));
    let text = std::fs::read(own).map_err(|error| errno(&error))?;
    let is_seen = |line: &&[u8]| {
        let point = line.split(|byte| *byte == b' ').nth(*field).unwrap_or_default();
        point == b"/" || view.begins_with_window(point)
    };
    let seen: Vec<u8> = text
        .split_inclusive(|byte| *byte == b'\n')
        .filter(is_seen)
        .flatten()
        .copied()
        .collect();
    let copy = memfd_create("mounts", MemfdFlags::CLOEXEC)?;
    let mut rest = seen.as_slice();
    while !rest.is_empty() {
        let written = retry_on_intr(|| write(&copy, rest))?;
        rest = &rest[written..];
    }
    seek(&copy, SeekFrom::Start(0))?;
    Ok(Some(copy))
}
