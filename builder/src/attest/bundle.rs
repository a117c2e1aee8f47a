//! What an SBOM generator has written: statements, one a file, which say whatever a stranger's program wants them to.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::Dir;
use serde::Deserialize;
use serde_json::Value;
use snapshotter::{FileType, FsError, Root};

use super::scan::{CORE, destination};
use super::{Attestation, DigestSet, Subject};

/// Bytes of all statements together that are read.
const MAX_SIZE: u64 = 40 << 20;

/// The most statements that are read.
const MAX_FILES: usize = 1000;

/// What no generator may claim.
const PROVENANCE: &str = "https://slsa.dev/provenance/";

/// Why what a generator wrote is no SBOM.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It wrote nothing.
    #[error("the SBOM generator has written nothing to `$BUILDKIT_SCAN_DESTINATION`")]
    Nothing,
    /// The directory cannot be read.
    #[error("cannot read what the SBOM generator has written")]
    List(#[source] io::Error),
    /// A file cannot be read.
    #[error("cannot read what the SBOM generator has written")]
    Read(#[from] FsError),
    /// A file is none, or has a name that is no text.
    #[error("`{0}`, which the SBOM generator has written, is not a file with a name that is text")]
    NotAFile(String),
    /// There are too many files, or they are too large.
    #[error("the SBOM generator has written more than {MAX_FILES} files or {MAX_SIZE} bytes")]
    TooMuch,
    /// A file is no statement.
    #[error("`{name}`, which the SBOM generator has written, is not an in-toto statement")]
    NotAStatement {
        /// The file.
        name: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A statement is of a type that is not known.
    #[error("`{name}`, which the SBOM generator has written, is a statement of the unknown type `{kind}`")]
    Type {
        /// The file.
        name: String,
        /// Its type.
        kind: String,
    },
    /// A statement tells of provenance.
    #[error("`{0}`, which the SBOM generator has written, claims to be provenance")]
    Provenance(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(rename = "_type")]
    kind: String,
    predicate_type: String,
    #[serde(default)]
    subject: Option<Vec<WrittenSubject>>,
    predicate: Value,
}

#[derive(Deserialize)]
struct WrittenSubject {
    #[serde(default)]
    name: String,
    digest: DigestSet,
}

/// Reads the statements in the layer of a generator's step: first that about the result itself, then the others in the
/// order of their names.
///
/// # Errors
/// If there is none, or one is not what it should be.
pub fn read_bundle(layer: &Path) -> Result<Vec<Attestation>, BundleError> {
    let layer = Root::open(layer)?;
    let mut names = match layer.stat(destination(), false)? {
        Some(stat) if stat.is_dir() => names(&layer)?,
        _ => Vec::new(),
    };
    names.sort_by_key(|name| (name.split('.').next() != Some(CORE), name.clone()));
    if names.is_empty() {
        return Err(BundleError::Nothing);
    }
    let mut left = MAX_SIZE;
    names.into_iter().map(|name| read(&layer, name, &mut left)).collect()
}

fn names(layer: &Root) -> Result<Vec<String>, BundleError> {
    let directory = layer.open_dir(destination())?;
    let failed = |error: rustix::io::Errno| BundleError::List(error.into());
    let mut names = Vec::new();
    for entry in Dir::read_from(&directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = std::ffi::OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            if names.len() == MAX_FILES {
                return Err(BundleError::TooMuch);
            }
            let name = name.to_str().map(str::to_owned);
            names.push(name.ok_or_else(|| BundleError::NotAFile(entry.file_name().to_string_lossy().into_owned()))?);
        }
    }
    Ok(names)
}

/// Reads a statement, of which there are `left` bytes at most.
fn read(layer: &Root, name: String, left: &mut u64) -> Result<Attestation, BundleError> {
    let path = destination().join(&name);
    let bytes = match layer.stat(&path, false)? {
        Some(stat) if stat.file_type == FileType::RegularFile => {
            *left = left.checked_sub(stat.size).ok_or(BundleError::TooMuch)?;
            layer.read_file(&path, stat.size)?
        }
        _ => None,
    };
    let Some(bytes) = bytes else {
        return Err(BundleError::NotAFile(name));
    };
    let written: Written = match serde_json::from_slice(&bytes) {
        Ok(written) => written,
        Err(source) => return Err(BundleError::NotAStatement { name, source }),
    };
    if !written.kind.starts_with("https://in-toto.io/Statement/") {
        return Err(BundleError::Type {
            name,
            kind: written.kind,
        });
    }
    if written.predicate_type.starts_with(PROVENANCE) {
        return Err(BundleError::Provenance(name));
    }
    let subjects = written.subject.unwrap_or_default().into_iter().map(|subject| Subject {
        name: if subject.name.is_empty() {
            Subject::UNNAMED.to_owned()
        } else {
            subject.name
        },
        digest: subject.digest,
    });
    Ok(Attestation {
        file_name: name,
        predicate_type: written.predicate_type,
        predicate: written.predicate,
        subjects: subjects.collect(),
        inline_only: false,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const STATEMENT: &str = r#"{"_type":"https://in-toto.io/Statement/v1","predicateType":"https://spdx.dev/Document","predicate":{"n":1}}"#;

    fn written(files: &[(&str, &str)]) -> Result<Vec<Attestation>, BundleError> {
        let layer = tempfile::tempdir().unwrap();
        let directory = layer.path().join(destination());
        fs::create_dir_all(&directory).unwrap();
        for (name, text) in files {
            fs::write(directory.join(name), text).unwrap();
        }
        read_bundle(layer.path())
    }

    #[test]
    fn the_scan_of_the_result_comes_first() {
        let names = ["a.spdx.json", "sbom-stage.spdx.json", "sbom.spdx.json", "z.json"];
        let bundle = written(&names.map(|name| (name, STATEMENT))).unwrap();
        let read: Vec<&str> = bundle.iter().map(|statement| statement.file_name.as_str()).collect();
        assert_eq!(
            read,
            ["sbom.spdx.json", "a.spdx.json", "sbom-stage.spdx.json", "z.json"]
        );
        assert_eq!(bundle[0].predicate_type, "https://spdx.dev/Document");
        assert_eq!(bundle[0].predicate, serde_json::json!({"n": 1}));
        assert!(bundle[0].subjects.is_empty());
    }

    #[test]
    fn what_is_no_sbom_is_refused() {
        assert!(matches!(written(&[]), Err(BundleError::Nothing)));
        assert!(matches!(
            read_bundle(tempfile::tempdir().unwrap().path()),
            Err(BundleError::Nothing)
        ));
        assert!(matches!(
            written(&[("x", "{}")]),
            Err(BundleError::NotAStatement { .. })
        ));
        assert!(matches!(
            written(&[("x", &STATEMENT.replace("Statement/v1\"", "Statement/v1\"} "))]),
            Err(BundleError::NotAStatement { .. })
        ));
        let claims = STATEMENT.replace("https://spdx.dev/Document", "https://slsa.dev/provenance/v1");
        assert!(matches!(written(&[("x", &claims)]), Err(BundleError::Provenance(_))));
        let other = STATEMENT.replace("https://in-toto.io/Statement/v1", "https://example.com/");
        assert!(matches!(written(&[("x", &other)]), Err(BundleError::Type { .. })));
    }

    #[test]
    fn what_a_generator_makes_croze_read_has_a_limit() {
        let padded = STATEMENT.replace("{\"n\":1}", &format!("\"{}\"", "x".repeat(15 << 20)));
        let files = ["a", "b", "c"].map(|name| (name, padded.as_str()));
        assert!(written(&files[..2]).is_ok());
        assert!(matches!(written(&files), Err(BundleError::TooMuch)));
        let names: Vec<String> = (0..=MAX_FILES).map(|number| number.to_string()).collect();
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), STATEMENT)).collect();
        assert!(written(&files[1..]).is_ok());
        assert!(matches!(written(&files), Err(BundleError::TooMuch)));
    }

    #[test]
    fn a_link_is_not_followed() {
        let layer = tempfile::tempdir().unwrap();
        let directory = layer.path().join(destination());
        fs::create_dir_all(&directory).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", directory.join("sbom.json")).unwrap();
        assert!(matches!(read_bundle(layer.path()), Err(BundleError::NotAFile(_))));
    }
}
