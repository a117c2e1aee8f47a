//! The sections of GitLab's job logs.
//!
//! GitLab takes `section_start:TIME:NAME[OPTIONS]` and `section_end:TIME:NAME` for marks where a carriage return and an
//! erasure of the line follow, which no line of a step holds. A name has letters, digits, `_`, `.` and `-`.

use std::io::{self, Write};
use std::time::SystemTime;

use super::turns::Speaker;

/// Begins a section, which is folded when a job is looked at later.
pub(super) fn open(out: &mut dyn Write, title: &str, mark: &str, speaker: &Speaker<'_>) -> io::Result<()> {
    let (time, name) = (seconds(speaker.at), name(speaker.number, mark));
    writeln!(
        out,
        "\x1b[0Ksection_start:{time}:{name}[collapsed=true]\r\x1b[0K{title}"
    )
}

/// Ends the section of the step with this number and mark.
pub(super) fn close(out: &mut dyn Write, mark: &str, number: usize, at: SystemTime) -> io::Result<()> {
    let (time, name) = (seconds(at), name(number, mark));
    writeln!(out, "\x1b[0Ksection_end:{time}:{name}\r\x1b[0K")
}

fn name(number: usize, mark: &str) -> String {
    format!("croze_{number}_{mark}")
}

/// Seconds since 1970.
fn seconds(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
