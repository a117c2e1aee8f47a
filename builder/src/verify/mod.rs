//! Looking for damage: reads everything in a state directory and tells what is not what it should be.
//!
//! | what | is wrong if |
//! |---|---|
//! | a blob | its bytes have another digest than its name |
//! | a record | it is not whole, or names a snapshot that is gone |
//! | a note, a tag | it is not whole; a tag also if a blob of its image is gone |
//! | a snapshot of a layer that was packed | packing it again gives another archive |
//! | a snapshot of a base's layer whose blob is here | its files are not those that unpacking the blob gives |
//!
//! A snapshot for which there is neither an archive nor a blob cannot be checked. One that the end of another boot may have
//! damaged ([`crate::state_dir::Epoch`]) is not wrong: the next build that looks for it removes it. Builds may go on
//! meanwhile; what they remove or add is passed over.

mod layers;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use registry::content::{ContentError, ContentStore};
use registry::oci::{Descriptor, Digest, Index, Manifest};
use snapshotter::SnapshotStore;

use crate::cache::{self, Inspected};
use crate::image::LayerBlob;
use crate::ops::Stored;
use crate::state_dir::note::{self, Found};
use crate::state_dir::{Class, Epoch, Scratch, StateDir, StateDirError};

/// The largest manifest that is looked into, in bytes.
const MANIFEST_LIMIT: u64 = 8 << 20;

/// What was found.
#[derive(Debug, Default)]
pub struct Verified {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Number of blobs.
    pub blobs: usize,
    /// Number of records, links to them, notes and tags.
    pub names: usize,
    /// Number of snapshots that were checked.
    pub snapshots: usize,
    /// Number of snapshots that nothing here can tell the right content of.
    pub unchecked: usize,
    /// Number of snapshots that the next build makes again, because a machine lost power.
    pub doubtful: usize,
}

/// Something that is wrong.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Finding {
    /// Its path in the layout.
    pub path: PathBuf,
    /// What is wrong with it, as in `its bytes are not those that it is named by`.
    pub problem: String,
}

/// Returns what turns the reason why a file cannot be read into an error: that is no damage.
fn unread(path: &Path) -> impl FnOnce(io::Error) -> StateDirError + use<> {
    let path = path.to_owned();
    move |source| StateDirError::Io {
        verb: "read",
        path,
        source,
    }
}

/// Looks at everything. Blocks for as long as it takes to read the store.
///
/// # Errors
/// If the store cannot be read, or there is no space to unpack a layer.
pub fn verify(state: &StateDir) -> Result<Verified, StateDirError> {
    let scratch = state.scratch()?;
    let mut verifier = Verifier {
        content: state.blobs(&scratch)?,
        snapshots: Arc::new(state.snapshots()?),
        epoch: state.epoch_of(&scratch),
        state,
        _scratch: scratch,
        verified: Verified::default(),
    };
    verifier.records()?;
    verifier.notes::<LayerBlob>(Class::Layers)?;
    verifier.notes::<Descriptor>(Class::Images)?;
    verifier.tags()?;
    verifier.blobs()?;
    verifier.layers()?;
    let mut verified = verifier.verified;
    verified.findings.sort();
    Ok(verified)
}

struct Verifier<'a> {
    state: &'a StateDir,
    _scratch: Scratch,
    content: ContentStore,
    snapshots: Arc<SnapshotStore>,
    epoch: Epoch,
    verified: Verified,
}

impl Verifier<'_> {
    fn find(&mut self, path: PathBuf, problem: impl Into<String>) {
        let problem = problem.into();
        self.verified.findings.push(Finding { path, problem });
    }

    fn records(&mut self) -> Result<(), StateDirError> {
        let index = Path::new(Class::Records.directory());
        for fan in self.names(index)? {
            for name in self.names(&index.join(fan.clone()))? {
                let path = index.join(&fan).join(name);
                self.verified.names += 1;
                let absolute = self.state.layout().join(&path);
                match cache::inspect(&absolute).map_err(unread(&absolute))? {
                    None | Some(Inspected::Link(_) | Inspected::Foreign) => {}
                    Some(Inspected::Damaged) => self.find(path, "it is not a whole record"),
                    Some(Inspected::Record(record)) => match serde_json::from_value::<Option<Stored>>(record.payload) {
                        Ok(Some(stored)) => self.record(path, &stored)?,
                        // It only leads to the keys of others.
                        Ok(None) => {}
                        Err(_) => self.find(path, "it does not say what it is a record of"),
                    },
                }
            }
        }
        Ok(())
    }

    fn record(&mut self, path: PathBuf, stored: &Stored) -> Result<(), StateDirError> {
        let own = stored.layers.iter().filter(|layer| layer.imported.is_none());
        for layer in own {
            let is_gone = self.snapshots.stat(&layer.snapshot)?.is_none();
            // A build may have removed both meanwhile, the record first.
            if is_gone && self.state.layout().join(&path).exists() {
                self.find(
                    path,
                    format!("it names the snapshot `{}`, which is gone", layer.snapshot),
                );
                break;
            }
        }
        Ok(())
    }

    fn notes<T: serde::de::DeserializeOwned>(&mut self, class: Class) -> Result<(), StateDirError> {
        for name in self.names(Path::new(class.directory()))? {
            let path = Path::new(class.directory()).join(name);
            self.verified.names += 1;
            let absolute = self.state.layout().join(&path);
            let found = note::inspect::<T>(&absolute).map_err(unread(&absolute))?;
            if matches!(found, Found::Damaged) {
                self.find(path, "it is not a whole note");
            }
        }
        Ok(())
    }

    fn tags(&mut self) -> Result<(), StateDirError> {
        for path in self.state.tags().files()? {
            self.verified.names += 1;
            let shown = path.strip_prefix(self.state.layout()).unwrap_or(&path).to_owned();
            match note::inspect::<Descriptor>(&path).map_err(unread(&path))? {
                Found::Whole(image) => {
                    if let Some(lost) = self.lost_blob(&image)? {
                        self.find(shown, format!("its image lacks the blob `{lost}`"));
                    }
                }
                Found::Damaged => self.find(shown, "it is not a whole note"),
                Found::Foreign | Found::Nothing => {}
            }
        }
        Ok(())
    }

    /// Returns a blob of an image that the store does not have.
    fn lost_blob(&self, image: &Descriptor) -> Result<Option<Digest>, StateDirError> {
        let mut documents = vec![image.clone()];
        while let Some(document) = documents.pop() {
            let bytes = match self.content.read(document.digest, MANIFEST_LIMIT) {
                Err(ContentError::Missing(digest)) => return Ok(Some(digest)),
                // Told of the blob itself.
                Err(_) => continue,
                Ok(bytes) => bytes,
            };
            if document.media_type.is_index() {
                let index = serde_json::from_slice::<Index>(&bytes);
                documents.extend(index.into_iter().flat_map(|index| index.manifests));
            } else if let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) {
                for blob in manifest.layers.iter().chain([&manifest.config]) {
                    if self.content.size(blob.digest)?.is_none() {
                        return Ok(Some(blob.digest));
                    }
                }
            }
        }
        Ok(None)
    }

    fn blobs(&mut self) -> Result<(), StateDirError> {
        let mut digests = BTreeSet::new();
        self.content.walk(&mut |blob| {
            digests.insert(blob.digest);
        })?;
        for digest in digests {
            self.verified.blobs += 1;
            match self.content.verify(digest) {
                Ok(_) => {}
                Err(error) if error.is_damage() => {
                    let path = self.content.blob_path(digest);
                    let path = path.strip_prefix(self.state.layout()).unwrap_or(&path).to_owned();
                    self.find(path, "its bytes are not those that it is named by");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Lists a directory of the layout, in order; none if it is gone.
    fn names(&self, directory: &Path) -> Result<Vec<PathBuf>, StateDirError> {
        let path = self.state.layout().join(directory);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => {
                return Err(StateDirError::Io {
                    verb: "list",
                    path,
                    source,
                });
            }
        };
        let mut names: Vec<PathBuf> = entries.flatten().map(|entry| entry.file_name().into()).collect();
        names.sort();
        Ok(names)
    }
}
