//! What of the machine's `/dev`, `/proc` and `/sys` a step sees, and may change: Docker's lists.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::view::names;

/// Paths in procfs that appear empty.
pub const MASKED_IN_PROC: [&str; 10] = [
    "acpi",
    "asound",
    "interrupts",
    "kcore",
    "keys",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
];

/// Paths in sysfs that appear empty.
pub const MASKED_IN_SYS: [&str; 2] = ["devices/virtual/powercap", "firmware"];

/// Paths in procfs that cannot be written.
pub const READ_ONLY_IN_PROC: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];

/// Names in `/dev`, which in a step's eyes has no others. It has a `shm` of its own, in the tree.
const IN_DEV: [&str; 13] = [
    "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "stderr", "stdin", "stdout", "tty", "urandom", "zero",
];

/// What everybody may read of a process, in its directory in procfs.
const PUBLIC: [&str; 8] = [
    "cgroup",
    "cmdline",
    "comm",
    "limits",
    "oom_score",
    "stat",
    "statm",
    "status",
];

/// Returns whether every container has this name in `/dev`.
pub(super) fn is_in_dev(name: &[u8]) -> bool {
    IN_DEV.iter().any(|known| known.as_bytes() == name)
}

/// Returns whether what lies at a path of the machine is a device that a container has not.
pub(super) fn is_no_device(path: &[u8]) -> bool {
    let name = path.strip_prefix(b"/dev/").and_then(|rest| names(rest).next());
    name.is_some_and(|name| !is_in_dev(name))
}

/// The call that a process is in, with all arguments: with what one has that the supervisor lets pass, too.
const CALL: &[u8] = b"syscall";

/// Who may see something of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SeenBy {
    Everybody,
    /// The processes of the same step.
    Step,
    Nobody,
}

/// Returns the process in whose directory of procfs a path of the machine lies, and who may see what is there.
pub(super) fn process(path: &[u8]) -> Option<(&[u8], SeenBy)> {
    let mut names = names(path.strip_prefix(b"/proc/")?);
    let process = names.next().filter(|name| name.iter().all(u8::is_ascii_digit))?;
    let mut name = names.next();
    if name == Some(b"task") {
        name = names.nth(1);
    }
    let is_public = |name: &[u8]| PUBLIC.iter().any(|known| known.as_bytes() == name);
    let seen_by = match name {
        Some(CALL) => SeenBy::Nobody,
        Some(name) if !is_public(name) => SeenBy::Step,
        _ => SeenBy::Everybody,
    };
    Some((process, seen_by))
}

/// Returns the number of the terminal that lies at a path of the machine.
pub(super) fn terminal(path: &[u8]) -> Option<u32> {
    str::from_utf8(path.strip_prefix(b"/dev/pts/")?).ok()?.parse().ok()
}

/// The terminals of a step: those whose masters it has opened. That of whoever runs croze is none, nor is any other that was
/// there before.
///
/// One that was closed stays the step's. So what opens a terminal in the same container later may get the number of one.
#[derive(Default)]
pub(super) struct Terminals(Mutex<BTreeSet<u32>>);

impl Terminals {
    /// Notes a terminal as the step's own.
    pub(super) fn note(&self, number: u32) {
        self.lock().insert(number);
    }

    /// Returns whether the step has opened the master of a terminal.
    pub(super) fn contains(&self, number: u32) -> bool {
        self.lock().contains(&number)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether what lies at a path of the machine appears empty.
pub(super) fn is_masked(path: &[u8]) -> bool {
    lies_in(path, b"/proc/", &MASKED_IN_PROC) || lies_in(path, b"/sys/", &MASKED_IN_SYS)
}

/// Returns whether what lies at a path of the machine cannot be written.
pub(super) fn is_read_only(path: &[u8]) -> bool {
    lies_in(path, b"/proc/", &READ_ONLY_IN_PROC) || path == b"/sys" || path.starts_with(b"/sys/")
}

fn lies_in(path: &[u8], top: &[u8], parts: &[&str]) -> bool {
    let rest = path.strip_prefix(top).unwrap_or_default();
    let has = |part: &&str| matches!(rest.strip_prefix(part.as_bytes()), Some([] | [b'/', ..]));
    parts.iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_process_only_some_things_are_for_everybody() {
        for (rest, seen_by) in [
            ("", SeenBy::Everybody),
            ("/task/13", SeenBy::Everybody),
            ("/task/13/status", SeenBy::Everybody),
            ("/task/13/environ", SeenBy::Step),
            ("/fd/0", SeenBy::Step),
            ("/syscall", SeenBy::Nobody),
            ("/task/13/syscall", SeenBy::Nobody),
        ] {
            let path = format!("/proc/12{rest}");
            assert_eq!(process(path.as_bytes()), Some((&b"12"[..], seen_by)), "{path}");
        }
        assert_eq!(process(b"/proc/meminfo"), None);
    }

    #[test]
    fn a_device_is_known_by_its_first_name() {
        assert!(is_no_device(b"/dev/sda") && is_no_device(b"/dev/mapper/x"));
        assert!(!is_no_device(b"/dev/pts/0") && !is_no_device(b"/dev") && !is_no_device(b"/device"));
    }

    #[test]
    fn a_terminal_is_a_number_in_pts() {
        assert_eq!(terminal(b"/dev/pts/12"), Some(12));
        assert_eq!(terminal(b"/dev/pts/ptmx"), None);
        assert_eq!(terminal(b"/dev/12"), None);
    }

    #[test]
    fn parts_are_whole_names() {
        assert!(is_read_only(b"/proc/sys/kernel/core_pattern") && is_read_only(b"/proc/sysrq-trigger"));
        assert!(is_read_only(b"/sys") && is_read_only(b"/sys/fs/cgroup"));
        assert!(!is_read_only(b"/proc/self/comm") && !is_read_only(b"/proc/system") && !is_read_only(b"/dev/shm"));
        assert!(is_masked(b"/proc/acpi/wakeup") && is_masked(b"/sys/firmware"));
        assert!(!is_masked(b"/proc/keys2") && !is_masked(b"/sys/class"));
    }
}
