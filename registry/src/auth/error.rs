//! Why credentials could not be read, fetched or stored.

use std::io;
use std::path::PathBuf;

/// A problem with a credential file or helper; no variant carries any part of a credential.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file operation failed.
    #[error("cannot {verb} `{}`", path.display())]
    File {
        /// What was attempted: `read`, `create`, …
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The source is not the JSON that Docker writes. The parser's words are left out: they quote values.
    #[error("{origin} is not a credential file: malformed JSON at line {line}, column {column}")]
    Malformed {
        /// The file or variable.
        origin: String,
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// An entry's `auth` is not the base64 of `username:password`.
    #[error("the entry `{key}` in {origin} is not base64 of `username:password`")]
    Entry {
        /// The key below `auths`.
        key: String,
        /// The file or variable.
        origin: String,
    },
    /// A helper's name could name something other than a program on the search path.
    #[error("`{name}` in {origin} is not the name of a credential helper: only letters, digits, `_`, `.` and `-`")]
    HelperName {
        /// The name as configured.
        name: String,
        /// The file or variable.
        origin: String,
    },
    /// A helper could not be started or spoken to.
    #[error("cannot run the credential helper `docker-credential-{name}`")]
    HelperRun {
        /// The helper, without `docker-credential-`.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A helper ended with a failure.
    #[error("the credential helper `docker-credential-{name}` failed ({status}): {message}")]
    HelperFailed {
        /// The helper, without `docker-credential-`.
        name: String,
        /// Its exit status.
        status: String,
        /// The first line it wrote, without control characters.
        message: String,
    },
    /// A helper answered something that is not its protocol.
    #[error("the credential helper `docker-credential-{name}` answered with something that is no credential")]
    HelperAnswer {
        /// The helper, without `docker-credential-`.
        name: String,
    },
    /// A helper did not end in time.
    #[error("the credential helper `docker-credential-{name}` did not answer within {seconds} s")]
    HelperTimeout {
        /// The helper, without `docker-credential-`.
        name: String,
        /// How long it was given, in seconds.
        seconds: u64,
    },
    /// The user name holds a colon, which Basic authentication cannot express (RFC 7617, section 2).
    #[error("a user name must not contain `:`")]
    UserName,
    /// A registry token cannot be written to a credential file.
    #[error("only a password or an identity token can be stored")]
    NotStorable,
}
