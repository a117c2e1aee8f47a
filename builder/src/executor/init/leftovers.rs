//! Ending what a step leaves behind where it has no pid namespace whose end would do so.
//!
//! The monitor is a *subreaper*: what is orphaned below it becomes its child, in whatever session it hides. So
//! everything that the step has started stays a descendant, and [`end_all`] is through when the kernel says that there
//! is no child left. What has been killed cannot fork any more, so that rounds of killing come to an end even where
//! processes fork as fast as they can.
//!
//! Somebody may kill the monitor itself. Therefore it has a *guard*, its parent, which then does the same.

use std::cell::Cell;
use std::fs;
use std::io::{self, PipeReader};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::prctl::set_child_subreaper;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, wait, waitpid};

use crate::sys;

/// Pause between two rounds in which nothing has ended.
const PAUSE: Duration = Duration::from_micros(500);

/// Makes this process the guard of a copy of it that does `work`, and returns the copy's exit status.
///
/// The copy gets a pipe that breaks when the guard dies: then it has to end everything by itself.
pub(super) fn guarded(close: impl FnOnce(), work: impl FnOnce(PipeReader) -> u8) -> io::Result<u8> {
    set_child_subreaper(true)?;
    let (reader, writer) = io::pipe()?;
    let guards = Cell::new(Some(writer));
    let copy = {
        let guards = &guards;
        let life = move || {
            drop(guards.take());
            set_child_subreaper(true).map_or(1, |()| work(reader))
        };
        sys::fork(life)?
    };
    // What the guard kept open would seem to be the step's.
    close();
    let status = loop {
        match waitpid(Some(copy), WaitOptions::empty()) {
            Err(Errno::INTR) | Ok(None) => {}
            result => break result?,
        }
    };
    end_all()?;
    drop(guards);
    let status = status.and_then(|(_, status)| u8::try_from(status.exit_status()?).ok());
    Ok(status.unwrap_or(1))
}

/// Kills every descendant of this process and returns when there is none any more.
pub(super) fn end_all() -> io::Result<()> {
    loop {
        descendants().into_iter().for_each(|process| {
            // It may have ended by itself; what it has left behind is found in the next round.
            let _gone = kill_process(process, Signal::KILL);
        });
        let mut some_ended = false;
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => some_ended = true,
                Ok(None) => break,
                Err(Errno::INTR) => {}
                Err(Errno::CHILD) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        if !some_ended {
            sleep(PAUSE);
        }
    }
}

/// Returns the processes below this one, as they are found one after the other.
fn descendants() -> Vec<Pid> {
    let mut found = Vec::new();
    let mut unseen = children(getpid());
    while let Some(process) = unseen.pop() {
        unseen.extend(children(process));
        found.push(process);
    }
    found
}

fn children(process: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{}/task", process.as_raw_pid()));
    let lists = tasks
        .into_iter()
        .flatten()
        .flatten()
        .map(|task| task.path().join("children"));
    let texts: Vec<String> = lists.filter_map(|list| fs::read_to_string(list).ok()).collect();
    let pids = texts.iter().flat_map(|text| text.split_whitespace());
    pids.filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}
