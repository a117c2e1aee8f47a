//! Secrets and agents given on the command line: read when a step needs them, kept nowhere.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Largest secret, in bytes; BuildKit's limit.
const MAX_SIZE: u64 = 500 * 1024;

/// What `--secret` and `--ssh` gave, by id.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// `--secret`s.
    pub secrets: BTreeMap<String, SecretSource>,
    /// `--ssh`: agents' sockets.
    pub agents: BTreeMap<String, PathBuf>,
}

/// Where a secret comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file, read when it is needed.
    File(PathBuf),
    /// The value of a variable of croze's own environment.
    Value(Vec<u8>),
}

impl std::fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Value(_) => f.write_str("a variable"),
        }
    }
}

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Nobody gave it, and the step requires it.
    #[error("secret `{0}`: not found")]
    Missing(String),
    /// Nobody gave an agent, and the step requires it.
    #[error("ssh agent `{0}`: not found")]
    MissingAgent(String),
    /// The file cannot be read.
    #[error("secret `{id}`: cannot read `{path}`")]
    Unreadable {
        /// The secret.
        id: String,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is larger than any secret.
    #[error("secret `{id}`: `{path}` has {size} bytes; a secret has at most {MAX_SIZE}")]
    TooLarge {
        /// The secret.
        id: String,
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// A variable of a step cannot hold it.
    #[error("secret `{0}` is not text and cannot be a variable")]
    NotText(String),
}

impl Secrets {
    /// Looks whether every file that was given can be read, and is not too large: a step that would read it may come late, or
    /// need it only next time.
    ///
    /// # Errors
    /// [`SecretError::Unreadable`] and [`SecretError::TooLarge`].
    pub fn check(&self) -> Result<(), SecretError> {
        self.secrets.iter().try_for_each(|(id, source)| match source {
            SecretSource::File(path) => is_fit(id, path),
            SecretSource::Value(_) => Ok(()),
        })
    }

    /// Returns the bytes of a secret; `None` if nobody gave it.
    ///
    /// # Errors
    /// If its file cannot be read.
    pub fn get(&self, id: &str) -> Result<Option<Vec<u8>>, SecretError> {
        match self.secrets.get(id) {
            None => Ok(None),
            Some(SecretSource::Value(value)) => Ok(Some(value.clone())),
            Some(SecretSource::File(path)) => {
                is_fit(id, path)?;
                fs::read(path).map(Some).map_err(|source| unreadable(id, path, source))
            }
        }
    }
}

fn is_fit(id: &str, path: &Path) -> Result<(), SecretError> {
    let unreadable = |source| unreadable(id, path, source);
    let metadata = fs::metadata(path).map_err(unreadable)?;
    let size = metadata.len();
    if metadata.is_dir() {
        return Err(unreadable(io::ErrorKind::IsADirectory.into()));
    }
    if size > MAX_SIZE {
        return Err(SecretError::TooLarge {
            id: id.to_owned(),
            path: path.to_owned(),
            size,
        });
    }
    // To open a pipe is to read from it.
    if metadata.is_file() {
        fs::File::open(path).map_err(unreadable)?;
    }
    Ok(())
}

fn unreadable(id: &str, path: &Path, source: io::Error) -> SecretError {
    SecretError::Unreadable {
        id: id.to_owned(),
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_when_asked_for_and_a_large_one_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (small, large) = (directory.path().join("small"), directory.path().join("large"));
        fs::write(&small, "s3cret").unwrap();
        fs::write(&large, vec![0; MAX_SIZE as usize + 1]).unwrap();
        let secrets = Secrets {
            secrets: BTreeMap::from([
                ("small".to_owned(), SecretSource::File(small.clone())),
                ("large".to_owned(), SecretSource::File(large.clone())),
                ("variable".to_owned(), SecretSource::Value(b"v".to_vec())),
            ]),
            ..Secrets::default()
        };
        assert_eq!(secrets.get("small").unwrap().unwrap(), b"s3cret");
        fs::write(&small, "other").unwrap();
        assert_eq!(secrets.get("small").unwrap().unwrap(), b"other");
        assert_eq!(secrets.get("variable").unwrap().unwrap(), b"v");
        assert_eq!(secrets.get("absent").unwrap(), None);
        assert!(matches!(secrets.get("large"), Err(SecretError::TooLarge { .. })));
        assert!(matches!(secrets.check(), Err(SecretError::TooLarge { .. })));
        fs::remove_file(&large).unwrap();
        assert!(matches!(secrets.check(), Err(SecretError::Unreadable { id, .. }) if id == "large"));
        fs::create_dir(&large).unwrap();
        assert!(matches!(secrets.check(), Err(SecretError::Unreadable { id, .. }) if id == "large"));
        assert!(!format!("{secrets:?}").contains("[118]"), "a value must not be printed");
    }
}
