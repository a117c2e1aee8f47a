//! How a command fails: one kind for each exit code, and what is said about it.

use std::process::ExitCode;

use registry::client::{ClientError, ErrorKind};
use rustix::io::Errno;

use crate::diagnostic::Diagnostic;
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
        let kind = match error.kind() {
            ErrorKind::Network | ErrorKind::Registry => Kind::Network,
            ErrorKind::Auth => Kind::Auth,
            ErrorKind::Integrity => Kind::Integrity,
            ErrorKind::NotFound => Kind::Input,
            ErrorKind::Local => resource_or(error, Kind::Environment),
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

/// Returns [`Kind::Resource`] if some cause of an error is that disk, memory or descriptors ran out, else `kind`.
pub(super) fn resource_or(error: &(dyn std::error::Error + 'static), kind: Kind) -> Kind {
    shortage(error).map_or(kind, |_| Kind::Resource)
}

/// Something of which a machine has only so much.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shortage {
    Disk,
    Descriptors,
    Memory,
}

impl Shortage {
    /// Returns what to do about it.
    pub(super) fn help(self) -> &'static str {
        match self {
            Self::Disk => "free some space, for example with `croze prune`, or choose another `--root`",
            Self::Descriptors => "raise the limit, for example with `ulimit -n 4096`, or lower `--jobs`",
            Self::Memory => "give croze more memory, or lower `--jobs`",
        }
    }
}

/// Returns what ran out, if that is a cause of an error.
pub(super) fn shortage(error: &(dyn std::error::Error + 'static)) -> Option<Shortage> {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut numbers = causes.filter_map(|error| Errno::from_io_error(error.downcast_ref::<std::io::Error>()?));
    numbers.find_map(|errno| match errno {
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => Some(Shortage::Disk),
        Errno::MFILE | Errno::NFILE => Some(Shortage::Descriptors),
        Errno::NOMEM => Some(Shortage::Memory),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::EXIT_CODES;

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
