//! Faults on purpose: named points at which a test makes this process die, or a call fail.
//!
//! A *point* stands before or after every step that a store's promises hang on: a rename, a record, a lease, a removal. It
//! does nothing unless its name was *armed*, which happens once, at the start of a process, with `NAME:NTH:ACTION`: the NTH
//! time that the point is reached, the process is killed (`kill`), or the call that follows fails (`eio`, `enospc`,
//! `edquot`).
//!
//! Points are compiled into every build, so that what is tested is what is shipped: one that is not armed costs a load from
//! memory, next to a system call. Nobody gains by arming one: whoever may set a process's environment may also kill it, and
//! an error on purpose takes the way of a true one. There is no action that lets croze go on as if a step had been taken.
//!
//! `builder/tests/it/endurance/points.rs` finds the points by reading the sources, and kills at each.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};

/// What happens, where, and the how manieth time.
static ARMED: OnceLock<Fault> = OnceLock::new();

#[derive(Debug)]
struct Fault {
    point: String,
    /// How often the point is still passed, this time included.
    left: AtomicU32,
    action: Action,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Kill,
    Fail(Errno),
}

/// A fault that cannot be armed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no fault: one is `NAME:NTH:ACTION`, where the action is `kill`, `eio`, `enospc` or `edquot`")]
pub struct NoFault(String);

/// Arms one point of this process, before anything else is done; what is armed already stays.
///
/// # Errors
/// If the text is not `NAME:NTH:ACTION`.
pub fn arm(fault: &str) -> Result<(), NoFault> {
    let parsed = parse(fault).ok_or_else(|| NoFault(fault.to_owned()))?;
    let _stays = ARMED.set(parsed);
    Ok(())
}

/// Passes a point, whose name says what follows or was just done, as in `blob.rename`.
///
/// # Errors
/// Only if the point was armed to fail now: then what follows is not to be done.
#[inline]
pub fn point(name: &str) -> io::Result<()> {
    ARMED.get().map_or(Ok(()), |fault| fault.reach(name))
}

fn parse(fault: &str) -> Option<Fault> {
    let mut parts = fault.split(':');
    let (point, nth, action) = (parts.next()?, parts.next()?, parts.next()?);
    let action = match action {
        "kill" => Action::Kill,
        "eio" => Action::Fail(Errno::IO),
        "enospc" => Action::Fail(Errno::NOSPC),
        "edquot" => Action::Fail(Errno::DQUOT),
        _ => return None,
    };
    let nth: u32 = nth.parse().ok().filter(|nth| *nth > 0)?;
    (parts.next().is_none() && !point.is_empty()).then(|| Fault {
        point: point.to_owned(),
        left: AtomicU32::new(nth),
        action,
    })
}

impl Fault {
    fn reach(&self, name: &str) -> io::Result<()> {
        if name != self.point {
            return Ok(());
        }
        let counted = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        match (counted, self.action) {
            // The signal ends the process before the call returns.
            (Ok(1), Action::Kill) => Ok(kill_process(getpid(), Signal::KILL)?),
            (Ok(1), Action::Fail(errno)) => Err(errno.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_armed_point_fails_once_and_no_other_does() {
        let fault = parse("blob.rename:2:enospc").unwrap();
        assert!(fault.reach("blob.rename").is_ok());
        assert!(fault.reach("blob.renamed").is_ok());
        let failed = fault.reach("blob.rename").unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::StorageFull);
        assert!(fault.reach("blob.rename").is_ok());
    }

    #[test]
    fn what_is_no_fault_is_refused() {
        for text in [
            "",
            "a",
            "a:1",
            "a:0:kill",
            "a:x:kill",
            "a:1:sleep",
            ":1:kill",
            "a:1:kill:",
        ] {
            assert_eq!(arm(text), Err(NoFault(text.to_owned())), "{text}");
        }
        assert!(point("nothing.armed").is_ok());
    }
}
