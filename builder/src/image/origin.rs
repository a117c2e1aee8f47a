//! Places that blobs can be had from.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr as _;

use registry::oci::{Reference, ReferenceError};
use serde::{Deserialize, Serialize};

/// A place that blobs can be had from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Origin {
    /// The repository of an image or a cache.
    Registry(Reference),
    /// An image layout on disk.
    Directory(PathBuf),
    /// A store of objects, by its address.
    Objects(String),
}

/// Why a text names no origin.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// It is of no kind.
    #[error("`{0}` is none of `registry:`, `directory:` and `objects:`")]
    Kind(String),
    /// The reference is none.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
}

/// For people: the reference, the path or the address.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => f.write_str(&reference.familiar()),
            Self::Directory(directory) => write!(f, "{}", directory.display()),
            Self::Objects(address) => f.write_str(address),
        }
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::Registry(reference) => format!("registry:{reference}"),
            // A path that is not UTF-8 is not recognised later: what comes from there is asked for again.
            Origin::Directory(directory) => format!("directory:{}", directory.display()),
            Origin::Objects(address) => format!("objects:{address}"),
        }
    }
}

impl TryFrom<String> for Origin {
    type Error = OriginError;

    fn try_from(text: String) -> Result<Self, OriginError> {
        match text.split_once(':') {
            Some(("registry", reference)) => Ok(Self::Registry(Reference::from_str(reference)?)),
            Some(("directory", path)) => Ok(Self::Directory(path.into())),
            Some(("objects", address)) => Ok(Self::Objects(address.to_owned())),
            _ => Err(OriginError::Kind(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_read_as_it_was_written() {
        for origin in [
            Origin::Registry("localhost:5000/a/b:cache".parse().unwrap()),
            Origin::Directory("/a:b/c".into()),
            Origin::Objects("https://b.s3.example/manifests/a/".to_owned()),
        ] {
            let text = serde_json::to_string(&origin).unwrap();
            assert_eq!(serde_json::from_str::<Origin>(&text).unwrap(), origin);
        }
        for bad in ["", "registry:A", "disk:/x"] {
            assert!(Origin::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
