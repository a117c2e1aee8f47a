//! Resource limits of a step, written as `docker --ulimit` takes them: `nofile=1024:4096`.

use std::fmt;
use std::str::FromStr;

use rustix::process::{Resource, Rlimit};
use serde::{Deserialize, Serialize};

use crate::diagnostic::did_you_mean;

/// What the kernel can limit, each under the name that it has in Docker.
const RESOURCES: [(&str, Resource); 15] = [
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

/// A limit on what a step and each of its processes may use.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ResourceLimit {
    name: String,
    /// What counts at first; no limit if `None`.
    soft: Option<u64>,
    /// How far a process may raise `soft`; no limit if `None`.
    hard: Option<u64>,
}

/// Why a text is no limit.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LimitError {
    /// It has not the form of one.
    #[error("expected `NAME=SOFT[:HARD]`, as in `nofile=1024:4096`")]
    Form,
    /// There is no such resource.
    #[error("invalid ulimit type `{name}`{suggestion}")]
    Resource {
        /// What was given.
        name: String,
        /// A name like it, as a phrase; else empty.
        suggestion: String,
    },
    /// A limit is no number.
    #[error("`{0}` is neither a number nor -1, which is no limit")]
    Number(String),
    /// The first limit is above the second.
    #[error("the soft limit must be less than or equal to the hard limit")]
    SoftAboveHard,
}

impl ResourceLimit {
    /// Returns the resource.
    pub(super) fn resource(&self) -> Option<Resource> {
        let found = RESOURCES.iter().find(|(name, _)| *name == self.name);
        found.map(|(_, resource)| *resource)
    }

    /// Returns whether it is about file locks.
    pub(super) fn is_on_locks(&self) -> bool {
        self.resource() == Some(Resource::Locks)
    }

    /// Returns what the kernel is told.
    pub(super) fn rlimit(&self) -> Rlimit {
        Rlimit {
            current: self.soft,
            maximum: self.hard,
        }
    }
}

impl FromStr for ResourceLimit {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let (name, values) = text.split_once('=').ok_or(LimitError::Form)?;
        if !RESOURCES.iter().any(|(known, _)| *known == name) {
            return Err(LimitError::Resource {
                name: name.to_owned(),
                suggestion: did_you_mean(name, RESOURCES.iter().map(|(known, _)| *known)),
            });
        }
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let (soft, hard) = (number(soft)?, number(hard)?);
        // No limit is above every limit.
        if soft.unwrap_or(u64::MAX) > hard.unwrap_or(u64::MAX) {
            return Err(LimitError::SoftAboveHard);
        }
        Ok(Self {
            name: name.to_owned(),
            soft,
            hard,
        })
    }
}

impl fmt::Display for ResourceLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |limit: Option<u64>| limit.map_or_else(|| "-1".to_owned(), |limit| limit.to_string());
        write!(f, "{}={}:{}", self.name, value(self.soft), value(self.hard))
    }
}

fn number(text: &str) -> Result<Option<u64>, LimitError> {
    match text {
        "-1" => Ok(None),
        text => match text.parse() {
            Ok(limit) => Ok(Some(limit)),
            Err(_) => Err(LimitError::Number(text.to_owned())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_docker_reads_them() {
        for (text, shown) in [
            ("nofile=1062:1062", "nofile=1062:1062"),
            ("nofile=1062", "nofile=1062:1062"),
            ("core=0:-1", "core=0:-1"),
            ("memlock=-1", "memlock=-1:-1"),
        ] {
            assert_eq!(text.parse::<ResourceLimit>().unwrap().to_string(), shown);
        }
        for (text, said) in [
            ("nofile", "expected `NAME=SOFT[:HARD]`"),
            ("nofiles=1", "invalid ulimit type `nofiles` (did you mean nofile?)"),
            ("as=1", "invalid ulimit type `as`"),
            ("nofile=", "`` is neither a number"),
            ("nofile=1:2:3", "`2:3` is neither a number"),
            ("nofile=-2", "`-2` is neither a number"),
            ("nofile=2:1", "less than or equal"),
            ("nofile=-1:1", "less than or equal"),
        ] {
            let error = text.parse::<ResourceLimit>().unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
