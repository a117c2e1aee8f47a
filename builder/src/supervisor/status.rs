//! `/proc/PID/status`, which tells of credentials as well: a step gets it with the lines that are true for it.

use std::ffi::CStr;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{MemfdFlags, Mode, OFlags, SeekFrom, fstat, memfd_create, openat, seek};
use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use super::call::{Call, Reply, errno};
use super::credentials::{Credentials, Ids};
use super::find::{Last, is_in_proc};
use super::place::Place;
use super::state::{Tag, tag_in_limits};

/// Returns whether a file that is opened with this path may be such a file.
pub(super) fn is_meant(path: &CStr, flags: OFlags) -> bool {
    let reads = flags.bits() & OFlags::RWMODE.bits() == 0 && !flags.contains(OFlags::PATH);
    let path = path.to_bytes();
    reads && (path == b"status" || path.ends_with(b"/status"))
}

/// Opens such a file for a call; `None` if it is none.
pub(super) fn open(call: &Call<'_>, directory: i32, path: &CStr, flags: OFlags) -> Result<Option<Reply>, Errno> {
    let found = call.find_name(directory, path, Last::Keep)?;
    let Some(file) = found.file.filter(is_in_proc) else {
        return Ok(None);
    };
    let device = fstat(&file)?.st_dev;
    let Some(tag) = tag_of(call.place, file.as_fd(), device)? else {
        return Ok(None);
    };
    let mut text = String::new();
    let mut status = File::from(call.place.open(&file, OFlags::RDONLY)?);
    status.read_to_string(&mut text).map_err(|error| errno(&error))?;
    let text = rewritten(&text, &call.step.states.known(tag));
    let copy = memfd_create("status", MemfdFlags::CLOEXEC)?;
    rustix::io::retry_on_intr(|| rustix::io::write(&copy, text.as_bytes()))?;
    seek(&copy, SeekFrom::Start(0))?;
    super::calls::hand_over(call, copy, flags).map(Some)
}

/// Returns the tag of the process that a file of procfs is about, if it is about one.
pub(super) fn tag_of(place: &Place, file: BorrowedFd<'_>, device: u64) -> Result<Option<Tag>, Errno> {
    let path = place.path(file)?;
    let Some(process) = process_in(path.to_bytes()) else {
        return Ok(None);
    };
    let read_only = OFlags::RDONLY | OFlags::CLOEXEC;
    let limits = if device == place.foreign.own_proc {
        openat(&place.proc, format!("{process}/limits"), read_only, Mode::empty())
    } else {
        rustix::fs::open(format!("/proc/{process}/limits"), read_only, Mode::empty())
    };
    let mut text = String::new();
    match limits
        .map(File::from)
        .map_err(io::Error::from)
        .and_then(|mut limits| limits.read_to_string(&mut text))
    {
        Ok(_) => Ok(tag_in_limits(&text)),
        // The process has ended meanwhile.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ESRCH | libc::ENOENT)) => Ok(None),
        Err(error) => Err(errno(&error)),
    }
}

/// Returns the process whose directory a path in procfs leads through: the first name in `/proc`, or in a procfs that is
/// mounted nowhere here, if it is a number. There are numbers further down as well, as in `/proc/irq/12`.
fn process_in(path: &[u8]) -> Option<u32> {
    let mut names = path.split(|byte| *byte == b'/');
    let first = names.find(|name| !matches!(*name, b"" | b"proc"))?;
    str::from_utf8(first).ok()?.parse().ok()
}

fn rewritten(text: &str, credentials: &Credentials) -> String {
    let mut new = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let name = line.split_once(':').map_or(line, |(name, _)| name);
        let ids = |ids: Ids| format!("{}\t{}\t{}\t{}", ids.real, ids.effective, ids.saved, ids.files);
        let set = |set: CapabilitySet| format!("{:016x}", set.bits());
        let value = match name {
            "Uid" => ids(credentials.users),
            "Gid" => ids(credentials.groups),
            "Groups" => {
                let groups: Vec<_> = credentials.supplementary.iter().map(u32::to_string).collect();
                // The blank at the end is the kernel's.
                groups.join(" ") + " "
            }
            "CapInh" => set(credentials.inheritable),
            "CapPrm" => set(credentials.permitted),
            "CapEff" => set(credentials.effective),
            "CapBnd" => set(credentials.bounding),
            "CapAmb" => set(credentials.ambient),
            "NoNewPrivs" => u8::from(credentials.no_new_privileges).to_string(),
            _ => {
                new.push_str(line);
                continue;
            }
        };
        // Writing to a string does not fail.
        let _infallible = writeln!(new, "{name}:\t{value}");
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_about_credentials_are_replaced_and_no_others() {
        let text = "Name:\tsh\nUid:\t0\t0\t0\t0\nGroups:\t\nCapEff:\t0000000000000001\nNoNewPrivs:\t1\nThreads:\t1\n";
        let user = Credentials::new(1000, 7, vec![20, 7], CapabilitySet::CHOWN);
        assert_eq!(
            rewritten(text, &user),
            "Name:\tsh\nUid:\t1000\t1000\t1000\t1000\nGroups:\t7 20 \nCapEff:\t0000000000000000\nNoNewPrivs:\t0\n\
             Threads:\t1\n"
        );
    }

    #[test]
    fn only_a_number_directly_in_proc_is_a_process() {
        assert_eq!(process_in(b"/proc/12/status"), Some(12));
        assert_eq!(process_in(b"/proc/12"), Some(12));
        assert_eq!(process_in(b"/12/task/13/stat"), Some(12));
        assert_eq!(process_in(b"/proc/irq/12/smp_affinity"), None);
        assert_eq!(process_in(b"/proc/sys/net/7"), None);
    }

    #[test]
    fn only_reading_a_file_of_that_name_is_meant() {
        assert!(is_meant(c"/proc/self/status", OFlags::RDONLY | OFlags::CLOEXEC));
        assert!(is_meant(c"status", OFlags::empty()));
        assert!(!is_meant(c"/proc/self/status", OFlags::WRONLY));
        assert!(!is_meant(c"/var/lib/dpkg/mystatus", OFlags::RDONLY));
    }
}
