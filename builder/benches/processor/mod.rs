//! The processor's time, which other programs on the machine do not lengthen as they lengthen real time.

use std::fs;
use std::time::Duration;

/// Returns the time that all threads of this process have had the processor, also those that have ended. It is counted
/// in hundredths of a second: measure many rounds.
///
/// # Panics
/// If the kernel does not say.
pub(crate) fn time() -> Duration {
    /// The same on every machine.
    const TICKS_PER_SECOND: u32 = 100;
    let stat = fs::read_to_string("/proc/self/stat").expect("the kernel's account of this process");
    // The name in parentheses may have blanks in it.
    let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
    let times = fields.split_whitespace().skip(11).take(2);
    let ticks: u32 = times
        .map(|ticks| ticks.parse::<u32>().expect("a number of ticks"))
        .sum();
    Duration::from_secs(u64::from(ticks)) / TICKS_PER_SECOND
}
