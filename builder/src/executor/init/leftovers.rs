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
use std::path::Path;
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
/// The copy gets a pipe that breaks when the guard dies: then it has to end everything by itself. Or it gets the error that
/// keeps it from doing so.
pub(super) fn guarded(close: impl FnOnce(), work: impl FnOnce(io::Result<PipeReader>) -> u8) -> io::Result<u8> {
    set_child_subreaper(true)?;
    let (reader, writer) = io::pipe()?;
    let guards = Cell::new(Some(writer));
    let copy = {
        let guards = &guards;
        let life = move || {
            drop(guards.take());
            let adopts = set_child_subreaper(true).map_err(io::Error::from);
            work(adopts.map(|()| reader))
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
    // Not every kernel lists them (`CONFIG_PROC_CHILDREN`).
    if Path::new("/proc/thread-self/children").exists() {
        return below(getpid(), children);
    }
    let parents = parents();
    below(getpid(), |process| {
        let children = parents.iter().filter(|(_, parent)| *parent == process);
        children.map(|(child, _)| *child).collect()
    })
}

/// Returns the processes below one, as `children` tells.
fn below(process: Pid, children: impl Fn(Pid) -> Vec<Pid>) -> Vec<Pid> {
    let mut found = Vec::new();
    let mut unseen = children(process);
    while let Some(process) = unseen.pop() {
        unseen.extend(children(process));
        found.push(process);
    }
    found
}

/// Returns every process and its parent. Between two rounds of killing what was missed is found, as with lists.
fn parents() -> Vec<(Pid, Pid)> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let with_parent = |entry: fs::DirEntry| {
        let process = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        // A program may have any name.
        let stat = fs::read(entry.path().join("stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        // The name of the program, in parentheses, may hold anything; the second field after it is the parent.
        let (_, rest) = stat.rsplit_once(')')?;
        Some((process, Pid::from_raw(rest.split_whitespace().nth(1)?.parse().ok()?)?))
    };
    processes.filter_map(with_parent).collect()
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

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn both_ways_find_the_processes_below_one() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & echo; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Then it has started the other one.
        io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let process = Pid::from_child(&shell);
        let listed = below(process, children);
        let scanned = parents();
        let scanned = below(process, |process| {
            let children = scanned.iter().filter(|(_, parent)| *parent == process);
            children.map(|(child, _)| *child).collect()
        });
        for process in listed.iter().chain([&process]) {
            kill_process(*process, Signal::KILL).unwrap();
        }
        shell.wait().unwrap();
        assert_eq!(scanned.len(), 1);
        assert_eq!(listed, scanned);
    }
}
