//! What names what: a record that names what has to go, goes before it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::SystemTime;

use registry::content::ContentStore;
use registry::oci::{Descriptor, Digest, Index, Manifest};
use serde::de::DeserializeOwned;
use snapshotter::SnapshotName;

use super::choose::Choice;
use super::item::Item;
use crate::cache::{self, Inspected};
use crate::image::{LayerBlob, is_base_snapshot};
use crate::ops::Stored;
use crate::state_dir::note::{self, Found};
use crate::state_dir::{Class, StateDir, StateDirError, paths};

/// The largest manifest that is looked into, in bytes; registries refuse larger ones than 4 MiB.
const MANIFEST_LIMIT: u64 = 8 << 20;
/// Threads that read names at the same time.
const MOST_THREADS: usize = 8;
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
    /// What only another version of croze can tell.
    Unknown,
    /// Nothing that can be believed.
    Damaged,
}

/// What becomes of what a name stands for, the worst last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// All of it stays.
    Stays,
    /// Some of it was not found.
    Unseen,
    /// Some of it has to go, the first of that in this place of the order.
    Goes(Reverse<usize>),
}

impl Names {
    /// Reads all records and notes.
    pub(super) fn read(state: &StateDir, items: &[Item]) -> Result<Self, StateDirError> {
        let scratch = state.scratch()?;
        let blobs = state.blobs(&scratch)?;
        let name = |index: usize| {
            let item = &items[index];
            let path = state.layout().join(&item.path);
            let named = match item.class {
                Class::Records => named_by_record(&path),
                Class::Layers => named_by_layer(&path),
                Class::Images => named_by_note(&path, |note: Descriptor| [note.digest]),
                Class::Tags => named_by_note(&path, |image| walk_image(&blobs, image)),
                _ => return None,
            };
            let named = named.map_err(|source| StateDirError::Io {
                verb: "read",
                path,
                source,
            });
            Some(named.transpose()?.map(|named| (index, named)))
        };
        // A store has many times more names than things, each in a small file.
        let threads = thread::available_parallelism().map_or(1, |n| n.get().min(MOST_THREADS));
        let name = &name;
        let names: Result<_, _> = thread::scope(|scope| {
            let readers: Vec<_> = (0..threads)
                .map(|first| {
                    let share = (first..items.len()).step_by(threads);
                    scope.spawn(move || share.filter_map(name).collect::<Vec<_>>())
                })
                .collect();
            // A reader that ends without a word has read nothing: what it was to read stays.
            let read = readers.into_iter().flat_map(|reader| reader.join().unwrap_or_default());
            read.collect()
        });
        Ok(Self(names?))
    }

    /// Returns the order in which everything goes: what is chosen as it was chosen, each thing right after its names, and
    /// those after the links to them; last the names of what was gone when the scan `began`. Whoever stops anywhere in it has
    /// left no name of what is gone, and has little that went in vain.
    pub(super) fn order(&self, items: &[Item], choice: &Choice, began: SystemTime) -> Vec<usize> {
        let positions: BTreeMap<&Path, usize> = items.iter().map(|item| &*item.path).zip(0..).collect();
        let turns: BTreeMap<usize, usize> = choice.iter().zip(0..).collect();
        let fate = |path: &PathBuf| match positions.get(path.as_path()).map(|index| turns.get(index)) {
            Some(Some(turn)) => Fate::Goes(Reverse(*turn)),
            Some(None) => Fate::Stays,
            None => Fate::Unseen,
        };
        // Whose turn it is, and what before what at that.
        let itself = |turn: &usize| (*turn, Reverse(0));
        let mut order: BTreeMap<usize, _> = turns.iter().map(|(index, turn)| (*index, itself(turn))).collect();
        for index in self.0.keys() {
            let (fate, links) = self.fate(*index, &positions, &fate);
            let turn = match fate {
                Fate::Stays => continue,
                Fate::Goes(Reverse(turn)) => turn,
                // What a name that is younger stands for may be younger too, and was not seen.
                Fate::Unseen if items[*index].used >= began => continue,
                Fate::Unseen => usize::MAX,
            };
            let place = (turn, Reverse(1 + links));
            let earliest = order.get(index).map_or(place, |chosen| place.min(*chosen));
            order.insert(*index, earliest);
        }
        let mut order: Vec<_> = order.into_iter().map(|(index, place)| (place, index)).collect();
        order.sort_unstable();
        order.into_iter().map(|(_, index)| index).collect()
    }

    /// Returns the worst fate of what a name leads to, where that of each path is known, and how many links lie between.
    fn fate(&self, index: usize, positions: &BTreeMap<&Path, usize>, fate: &dyn Fn(&PathBuf) -> Fate) -> (Fate, usize) {
        let (mut next, mut worst) = (index, Fate::Stays);
        for links in 0..=MOST_LINKS {
            match self.0.get(&next) {
                Some(Named::Content(content)) => return (content.iter().map(fate).fold(worst, Fate::max), links),
                Some(Named::Link(further)) => {
                    worst = worst.max(fate(further));
                    match positions.get(further.as_path()) {
                        Some(further) => next = *further,
                        None => return (worst, links),
                    }
                }
                Some(Named::Unknown) => return (worst, links),
                Some(Named::Damaged) | None => return (worst.max(Fate::Unseen), links),
            }
        }
        (worst.max(Fate::Unseen), MOST_LINKS)
    }
}

/// Returns what a record names; `None` if it is gone.
fn named_by_record(path: &Path) -> io::Result<Option<Named>> {
    let Some(inspected) = cache::inspect(path)? else {
        return Ok(None);
    };
    Ok(Some(match inspected {
        Inspected::Link(key) => Named::Link(paths::record(&key.hex())),
        Inspected::Record(record) => match serde_json::from_value::<Option<Stored>>(record.payload) {
            // It only leads to the keys of others.
            Ok(None) => Named::Content(Vec::new()),
            Ok(Some(stored)) => {
                // What another machine has made can be fetched from there again.
                let own = stored.layers.iter().filter(|layer| layer.imported.is_none());
                Named::Content(own.map(|layer| paths::snapshot(&layer.snapshot)).collect())
            }
            Err(_) => Named::Damaged,
        },
        Inspected::Foreign => Named::Unknown,
        Inspected::Damaged => Named::Damaged,
    }))
}

/// Returns what the note of a layer names: the snapshot that was packed, for which it says what registries have; where
/// that was no snapshot but a base's layer in another compression, the blob.
fn named_by_layer(path: &Path) -> io::Result<Option<Named>> {
    let snapshot = path.file_name().and_then(|name| name.to_str()?.split_once('.'));
    let snapshot = snapshot.and_then(|(name, _label)| SnapshotName::new(name).ok());
    let named = named_by_note(path, |note: LayerBlob| [note.descriptor.digest])?;
    Ok(match (named, snapshot) {
        (Some(Named::Content(_)), Some(snapshot)) if !is_base_snapshot(&snapshot) => {
            Some(Named::Content(vec![paths::snapshot(&snapshot)]))
        }
        (named, _) => named,
    })
}

/// Returns what a note names; `None` if it is gone.
fn named_by_note<T: DeserializeOwned, D: IntoIterator<Item = Digest>>(
    path: &Path,
    blobs: impl Fn(T) -> D,
) -> io::Result<Option<Named>> {
    Ok(match note::inspect(path)? {
        Found::Whole(note) => Some(Named::Content(blobs(note).into_iter().map(paths::blob).collect())),
        Found::Foreign => Some(Named::Unknown),
        Found::Damaged => Some(Named::Damaged),
        Found::Nothing => None,
    })
}

/// Returns the blobs of an image. What cannot be read names nothing.
fn walk_image(blobs: &ContentStore, image: Descriptor) -> Vec<Digest> {
    let mut found = Vec::new();
    let mut unread = vec![image];
    while let Some(document) = unread.pop() {
        found.push(document.digest);
        let Ok(bytes) = blobs.read(document.digest, MANIFEST_LIMIT) else {
            continue;
        };
        if document.media_type.is_index() {
            let index = serde_json::from_slice::<Index>(&bytes);
            unread.extend(index.into_iter().flat_map(|index| index.manifests));
        } else if let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) {
            found.push(manifest.config.digest);
            found.extend(manifest.layers.iter().map(|layer| layer.digest));
        }
    }
    found
}

/// Returns the paths of the blobs of all images that have a tag.
pub(super) fn tagged(state: &StateDir) -> Result<BTreeSet<PathBuf>, StateDirError> {
    let scratch = state.scratch()?;
    let blobs = state.blobs(&scratch)?;
    let images = state.tags().list()?.into_iter();
    let kept = images.flat_map(|(_, image)| walk_image(&blobs, image));
    Ok(kept.map(paths::blob).collect())
}
