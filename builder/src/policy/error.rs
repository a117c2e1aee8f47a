//! Why a policy cannot be used, or forbids something.

use registry::oci::{DigestError, ReferenceError};

use super::identity::{ATTRIBUTES, FULL_URL};
use crate::remote::RemoteError;

/// Why a policy cannot be used, or forbids something.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum PolicyError {
    /// The text is not of the format; what the JSON reader says of it, with line and column.
    #[error("not a source policy: {0}")]
    Format(String),
    /// The format is of a version that croze does not know.
    #[error("not a source policy: version {0} is not known")]
    Version(i64),
    /// A rule makes no sense.
    #[error("rule {number} of the source policy makes no sense")]
    Rule {
        /// Which, counted from 1.
        number: usize,
        /// What is wrong with it.
        source: RuleError,
    },
    /// The place must not be used.
    #[error("source {0:?} denied by policy")]
    Denied(String),
    /// The rules go in circles.
    #[error("too many mutations on a single source: {0:?}")]
    TooMany(String),
    /// A rule leads to what cannot stand in for the place.
    #[error("the source policy converts {from:?} to {to:?}")]
    Conversion {
        /// The place.
        from: String,
        /// Where the rule leads.
        to: String,
        /// Why it cannot be used.
        source: Box<ConversionError>,
    },
    /// A rule leads to a context that is not given.
    #[error("the source policy converts to the context {0:?}, which is not given")]
    NoContext(String),
}

/// Why a rule makes no sense.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum RuleError {
    /// It is to convert, and does not say to what.
    #[error("`CONVERT` needs `updates`")]
    NoUpdates,
    /// It sets an attribute that no place has.
    #[error("croze cannot change the attribute `{0}`, only `{known}`", known = ATTRIBUTES.join("`, `"))]
    Attribute(String),
    /// A wildcard that BuildKit refuses too.
    #[error("invalid wildcard: `{0}` has `**`")]
    Wildcard(String),
    /// A pattern is none, or one that takes too much memory.
    #[error("`{pattern}` is not a regular expression")]
    Regex {
        /// The pattern.
        pattern: String,
        /// Why.
        source: regex::Error,
    },
}

/// Why a place cannot stand in for another.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum ConversionError {
    /// Its identifier has a scheme that names nothing.
    #[error("croze knows no such place")]
    NoSuchPlace,
    /// It is not the name of an image.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The checksum of a file is none.
    #[error(transparent)]
    Checksum(#[from] DigestError),
    /// It is not a repository.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// Identifiers of repositories have neither scheme nor user: another repository needs its whole address.
    #[error("set the attribute `{FULL_URL}` to the URL of the repository too")]
    NoUrl,
    /// It is an image in the place of something else.
    #[error("an image can only take the place of another, and before that is looked up")]
    Image,
    /// It is in the place of the build's context.
    #[error("a build context is a repository or a file on the network, without a checksum")]
    NoContext,
    /// It is in the place of an SBOM generator.
    #[error("an SBOM generator is an image")]
    NoGenerator,
}
