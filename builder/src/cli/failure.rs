//! How a command fails: one kind for each exit code, and what is said about it.

use std::io;
use std::process::ExitCode;

use registry::client::{ClientError, ErrorKind};
use rustix::io::Errno;

use crate::diagnostic::Diagnostic;
use crate::executor::SystemError;
use crate::progress::Tail;

/// The table of exit codes. It is part of every `--help`; a test keeps the two equal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A bug in croze.
    Bug,
    /// The command line is wrong.
    Usage,
    /// The Dockerfile is wrong.
    Dockerfile,
    /// A `RUN` failed.
    Run,
    /// A context, file, secret or stage is missing.
    Input,
    /// A registry or the network failed, retries spent.
    Network,
    /// A registry refused who we are.
    Auth,
    /// Bytes are not what they claim to be.
    Integrity,
    /// This machine lacks something.
    Environment,
    /// Disk, memory or file descriptors ran out.
    Resource,
    /// A check failed, or a plan has misses.
    Check,
    /// A lock is held, or time ran out.
    Lock,
    /// ^C.
    Interrupted,
    /// SIGTERM.
    Terminated,
    /// The code of the `RUN` that failed: `--exit-code=run`.
    Passed(u8),
}

impl Kind {
    /// Returns the process exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Bug => 1,
            Self::Usage => 2,
            Self::Dockerfile => 3,
            Self::Run => 4,
            Self::Input => 5,
            Self::Network => 6,
            Self::Auth => 7,
            Self::Integrity => 8,
            Self::Environment => 9,
            Self::Resource => 10,
            Self::Check => 11,
            Self::Lock => 12,
            Self::Interrupted => 130,
            Self::Terminated => 143,
            Self::Passed(code) => code,
        }
    }
}

impl From<Kind> for ExitCode {
    fn from(kind: Kind) -> Self {
        Self::from(kind.code())
    }
}

/// A command that failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// Which exit code.
    pub kind: Kind,
    /// What to say, in order.
    pub diagnostics: Vec<Diagnostic>,
    /// The end of a failed step's log, shown above the diagnostics.
    pub tail: Option<Tail>,
}

impl Failure {
    /// Makes a failure with one message.
    pub(super) fn new(kind: Kind, diagnostic: Diagnostic) -> Self {
        Self {
            kind,
            diagnostics: vec![diagnostic],
            tail: None,
        }
    }

    /// Makes a failure of an error and its causes.
    pub(super) fn because(kind: Kind, error: &dyn std::error::Error) -> Self {
        let diagnostic = Diagnostic::error(error.to_string());
        let diagnostic = match error.source() {
            Some(cause) => diagnostic.because(cause),
            None => diagnostic,
        };
        Self::new(kind, diagnostic)
    }

    /// Makes a failure of what a registry client says.
    pub(super) fn of_client(error: &ClientError) -> Self {
        if let Some(shortage) = Shortage::behind(error) {
            return Self::because(Kind::Resource, error).help(shortage.help());
        }
        let kind = match error.kind() {
            ErrorKind::Network | ErrorKind::Registry => Kind::Network,
            ErrorKind::Auth => Kind::Auth,
            ErrorKind::Integrity => Kind::Integrity,
            ErrorKind::NotFound => Kind::Input,
            ErrorKind::Local => Kind::Environment,
        };
        let failure = Self::because(kind, error);
        match error.hint() {
            Some(hint) => failure.help(hint),
            None => failure,
        }
    }

    /// Says what to do, on the last message.
    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        if let Some(last) = self.diagnostics.pop() {
            self.diagnostics.push(last.help(help));
        }
        self
    }
}

/// What a machine can run out of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shortage {
    /// Blocks or inodes of a file system, or a user's share of them.
    Space,
    /// Files that may be open.
    Descriptors,
    /// Memory.
    Memory,
}

impl Shortage {
    /// Returns what ran out, if that is some cause of an error.
    pub(super) fn behind(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let of_step = error.downcast_ref::<SystemError>().map(|error| error.to_io_error());
            if let Some(shortage) = error.downcast_ref().or(of_step.as_ref()).and_then(Self::of) {
                return Some(shortage);
            }
            cause = error.source();
        }
        None
    }

    fn of(error: &io::Error) -> Option<Self> {
        match Errno::from_io_error(error) {
            Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => Some(Self::Space),
            Some(Errno::MFILE | Errno::NFILE) => Some(Self::Descriptors),
            Some(Errno::NOMEM) => Some(Self::Memory),
            Some(_) => None,
            // Somebody has put the number into an error of their own, and kept the kind.
            None => match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(Self::Space),
                io::ErrorKind::OutOfMemory => Some(Self::Memory),
                _ => None,
            },
        }
    }

    /// Returns what to do.
    pub(super) fn help(self) -> &'static str {
        match self {
            Self::Space => {
                "free some space or inodes (see `df`, `df -i` and `quota`), for example with `croze prune`, or choose \
                 another `--root`"
            }
            Self::Descriptors => "let more files be open, for example with `ulimit -n 1024`",
            Self::Memory => "give it more memory, or fewer steps at once with `--jobs`",
        }
    }
}

/// Returns [`Kind::Resource`] if some cause of an error is that disk, memory or descriptors ran out, else `kind`.
pub(super) fn resource_or(error: &(dyn std::error::Error + 'static), kind: Kind) -> Kind {
    Shortage::behind(error).map_or(kind, |_| Kind::Resource)
}

/// Fails for want of disk, memory or descriptors if that is a cause, and says what to do about it; else as `kind`.
pub(super) fn out_of(error: &(dyn std::error::Error + 'static), kind: Kind) -> Failure {
    match Shortage::behind(error) {
        Some(shortage) => Failure::because(Kind::Resource, error).help(shortage.help()),
        None => Failure::because(kind, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::EXIT_CODES;

    #[test]
    fn what_ran_out_is_seen_however_deep_it_lies() {
        let full = || io::Error::from(Errno::NOSPC);
        // As crates do that add a path.
        let wrapped = io::Error::new(full().kind(), "no space left at path `x`");
        for (error, shortage) in [
            (full(), Some(Shortage::Space)),
            (wrapped, Some(Shortage::Space)),
            (Errno::DQUOT.into(), Some(Shortage::Space)),
            (Errno::MFILE.into(), Some(Shortage::Descriptors)),
            (Errno::NOMEM.into(), Some(Shortage::Memory)),
            (Errno::IO.into(), None),
        ] {
            assert_eq!(Shortage::behind(&error), shortage, "{error:?}");
        }
        // As a step's process tells it.
        assert_eq!(Shortage::behind(&SystemError::from(&full())), Some(Shortage::Space));
    }

    #[test]
    fn the_help_lists_every_exit_code() {
        let kinds = [
            Kind::Bug,
            Kind::Usage,
            Kind::Dockerfile,
            Kind::Run,
            Kind::Input,
            Kind::Network,
            Kind::Auth,
            Kind::Integrity,
            Kind::Environment,
            Kind::Resource,
            Kind::Check,
            Kind::Lock,
            Kind::Interrupted,
            Kind::Terminated,
        ];
        for kind in kinds {
            let code = kind.code().to_string();
            let listed = EXIT_CODES.split(|c: char| !c.is_ascii_digit()).any(|word| word == code);
            assert!(listed, "{kind:?} = {code} is not in the help");
        }
    }
}
