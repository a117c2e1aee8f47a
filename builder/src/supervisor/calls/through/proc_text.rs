//! Files of procfs that tell a step less than it would be told with mounts of its own: its root is no mount, so that
//! none would be listed. Where the kernel has another root than the step, so are files with other paths.

use std::fs::File;
use std::io::Read as _;

use rustix::fd::OwnedFd;
use rustix::fs::{MemfdFlags, OFlags, SeekFrom, memfd_create, seek};
use rustix::io::{Errno, retry_on_intr, write};

use crate::supervisor::call::{Call, errno};
use crate::supervisor::find::{Found, is_in_proc};
use crate::supervisor::view::View;

/// Names of lists of mounts, and the field of a line that is the mount point.
const LISTS: [(&[u8], usize); 3] = [(b"mountinfo", 4), (b"mounts", 1), (b"mountstats", 4)];

/// Names of lists of what a process has in its memory.
const MAPPINGS: [&[u8]; 2] = [b"maps", b"smaps"];

/// Fields of a line of such a list that come before the path; the last is the file's inode.
const BEFORE_PATH: usize = 5;

/// Returns what the step gets instead of a file, if it is such a list: the machine's, without what it does not see.
pub(super) fn of(call: &Call<'_>, found: &Found) -> Result<Option<OwnedFd>, Errno> {
    let (Some(view), Some(file)) = (&call.place.view, &found.file) else {
        return Ok(None);
    };
    if view.programs().is_some() && MAPPINGS.contains(&found.name.to_bytes()) && is_in_proc(&found.directory) {
        let mut text = Vec::new();
        let read = File::from(call.place.open(file, OFlags::RDONLY)?).read_to_end(&mut text);
        read.map_err(|error| errno(&error))?;
        return copy(&mappings(view, &text)).map(Some);
    }
    let list = LISTS.iter().find(|(name, _)| *name == found.name.to_bytes());
    let Some((name, field)) = list else {
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
    copy(&seen).map(Some)
}

/// Puts right the paths in a list of mappings.
fn mappings(view: &View, text: &[u8]) -> Vec<u8> {
    let mut told = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let Some(start) = line.iter().position(|byte| *byte == b'/') else {
            told.extend(line);
            continue;
        };
        let (fields, path) = line.split_at(start);
        let path = path.trim_ascii_end();
        let inode = std::str::from_utf8(fields).ok();
        let inode = inode.and_then(|fields| fields.split_whitespace().nth(BEFORE_PATH - 1)?.parse().ok());
        let original = inode.and_then(|inode| view.programs()?.original_of_number(inode));
        let path = original.as_deref().unwrap_or(path);
        told.extend(fields);
        told.extend(view.in_tree(path).unwrap_or(path));
        told.push(b'\n');
    }
    told
}

fn copy(text: &[u8]) -> Result<OwnedFd, Errno> {
    let copy = memfd_create("list", MemfdFlags::CLOEXEC)?;
    let mut rest = text;
    while !rest.is_empty() {
        let written = retry_on_intr(|| write(&copy, rest))?;
        rest = &rest[written..];
    }
    seek(&copy, SeekFrom::Start(0))?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_told_with_the_step_s_paths() {
        let (tree, programs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let view = View::open(tree.path(), Some(programs.path())).unwrap();
        let top = tree.path().canonicalize().unwrap().display().to_string();
        let text = format!("1-2 r-xp 0 08:01 7    {top}/bin/sh\n2-3 rw-p 0 00:00 0  [stack]\nRss: 4 kB\n");
        let told = String::from_utf8(mappings(&view, text.as_bytes())).unwrap();
        assert_eq!(told, text.replace(&top, ""));
    }
}
