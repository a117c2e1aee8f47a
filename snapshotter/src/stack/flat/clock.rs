//! How finely a file system tells times of change apart.
//!
//! A file that is changed twice within one tick of the file system's clock may have the same time of change after
//! both. Since Linux 6.13 that does not happen on the usual file systems: a time that somebody has looked at is never
//! given again. Before, ticks last up to ten milliseconds. Which it is, is tried.

use std::os::fd::AsFd as _;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use rustix::io::pwrite;

use crate::attributes::Timestamp;
use crate::error::{FsError, OnPath as _};
use crate::inodes::stat_at;
use crate::root::Root;

/// Longer than a tick of any kernel.
const TICK: Duration = Duration::from_millis(10);

/// How many changes in a row must have times of their own, and how long they may take together: too short for as
/// many ticks.
const CHANGES: usize = 8;
const AT_ONCE: Duration = Duration::from_millis(1);

/// How often the attempt is made again when other processes got in between.
const ATTEMPTS: usize = 4;

/// What is known of a file system's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    /// Each change after a look at the file has a time of its own.
    Fine,
    /// Changes within a tick may have the same time.
    Ticking,
}

impl Clock {
    /// Changes a file in the directory several times, and looks at each of its times.
    pub(super) fn probe(directory: &Root) -> Result<Self, FsError> {
        const NAME: &str = "clock";
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(directory, NAME, flags, Mode::RUSR | Mode::WUSR).on("create", NAME)?;
        unlinkat(directory, NAME, AtFlags::empty()).on("remove", NAME)?;
        for _ in 0..ATTEMPTS {
            let begun = Instant::now();
            let mut times = Vec::new();
            for _ in 0..CHANGES {
                pwrite(&file, b"x", 0).on("write", NAME)?;
                times.push(stat_at(file.as_fd(), c"").on("stat", NAME)?.ctime);
            }
            if begun.elapsed() < AT_ONCE {
                let all_differ = times.windows(2).all(|two| two[0] != two[1]);
                return Ok(if all_differ { Self::Fine } else { Self::Ticking });
            }
        }
        Ok(Self::Ticking)
    }

    /// Waits until a change cannot have the time `latest` any more, the last that anything was changed at.
    pub(super) fn wait_past(self, latest: Timestamp) {
        if self == Self::Fine {
            return;
        }
        let latest = Duration::new(u64::try_from(latest.seconds).unwrap_or(0), latest.nanos);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // A time in the future says that the clock was set back meanwhile: then one tick is all that can be done.
        sleep((latest + TICK).saturating_sub(now).min(TICK));
    }
}
