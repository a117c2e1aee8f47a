//! What names what: a record that names what has to go, goes before it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use registry::content::ContentStore;
use registry::oci::{Descriptor, Digest, Index, Manifest};
use serde::de::DeserializeOwned;

use super::choose::Choice;
use super::item::Item;
use crate::cache::{self, Inspected};
use crate::image::LayerBlob;
use crate::ops::Stored;
use crate::state_dir::note::{self, Found};
use crate::state_dir::{Class, StateDir, StateDirError};

/// The largest manifest that is looked into, in bytes; registries refuse larger ones than 4 MiB.
const MANIFEST_LIMIT: u64 = 8 << 20;
/// Links that may lie between a key and its record.
const MOST_LINKS: usize = 8;

/// What the items that are only names stand for, by position.
pub(super) struct Names(BTreeMap<usize, Named>);

/// What one name stands for.
enum Named {
    /// Things of the store, all of which it takes.
    Content(Vec<PathBuf>),
    /// Another name.
    Link(PathBuf),
    /// Nothing that can be read.
    Damaged,
}

/// What becomes of what a name stands for, the worst last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// All of it stays.
    Stays,
    /// Some of it was not found.
    Unseen,
    /// Some of it has to go.
    Goes,
}

impl Names {
    /// Reads all records and notes.
    pub(super) fn read(state: &StateDir, items: &[Item]) -> Result<Self, StateDirError> {
        let scratch = state.scratch()?;
        let blobs = state.blobs(&scratch)?;
        let names = items.iter().enumerate().filter_map(|(index, item)| {
            let path = state.layout().join(&item.path);
            let named = match item.class {
                Class::Records => named_by_record(&path)?,
                Class::Layers => named_by_note(&path, |note: LayerBlob| [note.descriptor.digest])?,
                Class::Images => named_by_note(&path, |note: Descriptor| [note.digest])?,
                // Layers may be elsewhere.
                Class::Tags => named_by_note(&path, |image| documents(&blobs, image))?,
                _ => return None,
            };
            Some((index, named))
        });
        Ok(Self(names.collect()))
    }

    /// Returns the names of what is chosen, and of what was gone when the scan `began`.
    pub(super) fn of(&self, items: &[Item], choice: &Choice, began: SystemTime) -> Vec<usize> {
        let positions: BTreeMap<&Path, usize> = items.iter().map(|item| &*item.path).zip(0..).collect();
        let fate = |path: &PathBuf| match positions.get(path.as_path()) {
            Some(index) if choice.has(*index) => Fate::Goes,
            Some(_) => Fate::Stays,
            None => Fate::Unseen,
        };
        let goes = |index: &usize| match self.fate(*index, &positions, &fate) {
            Fate::Stays => false,
            Fate::Goes => true,
            // What a name that is younger stands for may be younger too, and was not seen.
            Fate::Unseen => items[*index].used < began,
        };
        let names = self.0.keys().copied().filter(|index| !choice.has(*index));
        names.filter(goes).collect()
    }

    /// Returns the fate of what a name stands for, where that of each path is known.
    fn fate(&self, index: usize, positions: &BTreeMap<&Path, usize>, fate: &dyn Fn(&PathBuf) -> Fate) -> Fate {
        let mut next = index;
        for _ in 0..=MOST_LINKS {
            match self.0.get(&next) {
                Some(Named::Content(content)) => {
                    return content.iter().map(fate).max().unwrap_or(Fate::Stays);
                }
                Some(Named::Link(further)) => match (fate(further), positions.get(further.as_path())) {
                    (Fate::Stays, Some(further)) => next = *further,
                    (fate, _) => return fate,
                },
                Some(Named::Damaged) | None => return Fate::Unseen,
            }
        }
        Fate::Unseen
    }
}

fn named_by_record(path: &Path) -> Option<Named> {
    Some(match cache::inspect(path)? {
        Inspected::Link(key) => {
            let hex = key.hex();
            Named::Link([Class::Records.directory(), &hex[..2], &hex].iter().collect())
        }
        Inspected::Record(record) => match serde_json::from_value::<Stored>(record.payload) {
            Ok(stored) => {
                // What another machine has made can be fetched from there again.
                let own = stored.layers.iter().filter(|layer| layer.imported.is_none());
                Named::Content(own.map(|layer| snapshot_path(layer.snapshot.as_str())).collect())
            }
            Err(_) => Named::Damaged,
        },
        Inspected::Damaged => Named::Damaged,
    })
}

fn named_by_note<T: DeserializeOwned, D: IntoIterator<Item = Digest>>(
    path: &Path,
    blobs: impl Fn(T) -> D,
) -> Option<Named> {
    Some(match note::inspect(path) {
        Found::Whole(note) => Named::Content(blobs(note).into_iter().map(blob_path).collect()),
        Found::Damaged => Named::Damaged,
        Found::Nothing => return None,
    })
}

/// Returns the index, manifests and configs of an image, as far as they can be read.
fn documents(blobs: &ContentStore, image: Descriptor) -> Vec<Digest> {
    walk_image(blobs, image)
        .into_iter()
        .filter(|(_, is_layer)| !is_layer)
        .map(|(digest, _)| digest)
        .collect()
}

/// Returns the blobs of an image, and which of them are layers. What cannot be read names nothing.
fn walk_image(blobs: &ContentStore, image: Descriptor) -> Vec<(Digest, bool)> {
    let mut found = Vec::new();
    let mut unread = vec![image];
    while let Some(document) = unread.pop() {
        found.push((document.digest, false));
        let Ok(bytes) = blobs.read(document.digest, MANIFEST_LIMIT) else {
            continue;
        };
        if document.media_type.is_index() {
            let index = serde_json::from_slice::<Index>(&bytes);
            unread.extend(index.into_iter().flat_map(|index| index.manifests));
        } else if let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) {
            found.push((manifest.config.digest, false));
            found.extend(manifest.layers.iter().map(|layer| (layer.digest, true)));
        }
    }
    found
}

fn snapshot_path(name: &str) -> PathBuf {
    Path::new(Class::Snapshots.directory()).join(name)
}

fn blob_path(digest: Digest) -> PathBuf {
    let hex = digest.hex();
    [Class::Blobs.directory(), "sha256", &hex[..2], &hex].iter().collect()
}

/// Returns the paths of the blobs of all images that have a tag.
pub(super) fn tagged(state: &StateDir) -> Result<BTreeSet<PathBuf>, StateDirError> {
    let scratch = state.scratch()?;
    let blobs = state.blobs(&scratch)?;
    let images = state.tags().list()?.into_iter();
    let kept = images.flat_map(|(_, image)| walk_image(&blobs, image));
    Ok(kept.map(|(digest, _)| blob_path(digest)).collect())
}
