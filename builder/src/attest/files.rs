//! Statements as files beside exported files, which are their subjects.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use registry::oci::Hasher;
use rustix::fs::{Mode, OFlags, openat};
use snapshotter::walk::{self, Next, Place, Visitor};
use snapshotter::{Attributes, FileType, FsError, Root};

use super::materials::sha256;
use super::{Attestation, Subject};
use crate::context::BUFFER;
use crate::export::ExportError;

/// Mode of a statement, as BuildKit has it: detailed provenance holds build arguments.
const MODE: u32 = 0o600;

/// How statements are called.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FileNames<'a> {
    /// `attestation-prefix`.
    pub prefix: &'a str,
    /// What tells the platform's files from those of others in the same directory.
    pub platform: Option<&'a str>,
}

/// Why statements could not be written.
#[derive(Debug, thiserror::Error)]
pub enum StatementFileError {
    /// Two would have one name.
    #[error("two attestations would be written to `{0}`")]
    Twice(String),
    /// One could not be written.
    #[error(transparent)]
    Export(#[from] ExportError),
}

/// Writes into the top of `tree` what is attested of its files.
///
/// # Errors
/// If the files cannot be read, or the statements cannot be written.
pub fn write_statements(
    attestations: &[Attestation],
    tree: &Root,
    names: FileNames<'_>,
) -> Result<(), StatementFileError> {
    let mut subjects = Subjects {
        tree,
        found: Vec::new(),
    };
    let top = tree.open_dir(Path::new("")).map_err(ExportError::from)?;
    walk::walk(top, &mut subjects)?;
    let mut written = BTreeSet::new();
    for attestation in attestations {
        let name = names.of(&attestation.file_name);
        if !written.insert(name.clone()) {
            return Err(StatementFileError::Twice(name));
        }
        let statement = attestation.readable_statement(&subjects.found);
        write(tree, Path::new(&name), &statement.map_err(ExportError::Json)?)?;
    }
    Ok(())
}

/// Puts a statement in the place of whatever the tree has under its name.
fn write(tree: &Root, name: &Path, statement: &[u8]) -> Result<(), ExportError> {
    tree.remove_tree(name)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let (directory, last) = tree.parent(name)?;
    let file = openat(directory, last, flags, Mode::RUSR | Mode::WUSR);
    let mut file = File::from(file.map_err(|error| FsError::new("create", name, error))?);
    file.write_all(statement).map_err(ExportError::io("write", name))?;
    let attributes = Attributes {
        uid: 0,
        gid: 0,
        mode: MODE,
    };
    let dressed = tree.inodes().dress(file.as_fd(), FileType::RegularFile, attributes);
    Ok(dressed.map_err(|error| FsError::new("set the owner and mode of", name, error))?)
}

impl FileNames<'_> {
    /// Returns what a statement is called: `provenance.linux_amd64.json`.
    fn of(&self, name: &str) -> String {
        let prefix = self.prefix;
        match (self.platform, name.rsplit_once('.')) {
            (None, _) => format!("{prefix}{name}"),
            (Some(platform), Some((stem, extension))) => format!("{prefix}{stem}.{platform}.{extension}"),
            (Some(platform), None) => format!("{prefix}{name}.{platform}"),
        }
    }
}

/// The regular files of a tree with their digests.
struct Subjects<'a> {
    tree: &'a Root,
    found: Vec<Subject>,
}

impl Visitor for Subjects<'_> {
    type Error = ExportError;

    fn visit(&mut self, place: &Place<'_>) -> Result<Next, ExportError> {
        match self.tree.stat(place.path, false)?.map(|stat| stat.file_type) {
            Some(FileType::Directory) => return Ok(Next::Enter(walk::open_dir(place)?)),
            Some(FileType::RegularFile) => {}
            _ => return Ok(Next::Pass),
        }
        let mut file = self.tree.open_file(place.path)?;
        let (mut hasher, mut buffer) = (Hasher::new(), vec![0; BUFFER]);
        loop {
            match file.read(&mut buffer).map_err(ExportError::io("read", place.path))? {
                0 => break,
                length => hasher.update(&buffer[..length]),
            }
        }
        self.found.push(Subject {
            name: place.path.display().to_string(),
            digest: sha256(hasher.finish()),
        });
        Ok(Next::Pass)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_name_tells_the_platform_before_its_extension() {
        let plain = FileNames::default();
        assert_eq!(plain.of("sbom.spdx.json"), "sbom.spdx.json");
        let names = FileNames {
            prefix: "app-",
            platform: Some("linux_arm_v7"),
        };
        assert_eq!(names.of("sbom.spdx.json"), "app-sbom.spdx.linux_arm_v7.json");
        assert_eq!(names.of("sbom"), "app-sbom.linux_arm_v7");
    }

    #[test]
    fn a_statement_names_every_regular_file_by_its_digest() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("d")).unwrap();
        fs::write(tree.path().join("d/empty"), "").unwrap();
        std::os::unix::fs::symlink("d/empty", tree.path().join("link")).unwrap();
        let attestation = Attestation {
            file_name: "p.json".to_owned(),
            predicate_type: "https://example.com/".to_owned(),
            predicate: serde_json::json!({}),
            subjects: Vec::new(),
            inline_only: false,
        };
        let write = |attestations: &[Attestation]| {
            let root = Root::open(tree.path()).unwrap();
            write_statements(attestations, &root, FileNames::default())
        };
        write(std::slice::from_ref(&attestation)).unwrap();
        let path = tree.path().join("p.json");
        let statement: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(
            statement["subject"],
            serde_json::json!([{"name": "d/empty", "digest": {"sha256": empty}}])
        );
        let twice = [attestation.clone(), attestation];
        assert!(matches!(write(&twice), Err(StatementFileError::Twice(_))));
    }
}
