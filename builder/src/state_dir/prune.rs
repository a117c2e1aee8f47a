//! Removing what is kept.
//!
//! Classes are pruned in the order of [`Class::ALL`], so that nothing is left that names what is gone. Images
//! that keep their tag keep their blobs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use registry::content::ContentStore;
use registry::oci::{Descriptor, Digest, Index, Manifest};
use snapshotter::{FsError, Root, SnapshotName, Usage, measure};

use super::{Class, PruneLock, StateDir, StateDirError, UsageByClass};

/// The largest manifest that is looked into, in bytes; registries refuse larger ones than 4 MiB.
const MANIFEST_LIMIT: u64 = 8 << 20;

/// What to remove.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PrunePolicy {
    /// The classes to remove from.
    pub classes: BTreeSet<Class>,
    /// Remove only what was last changed so long ago; everything if `None`.
    pub older_than: Option<Duration>,
}

impl PrunePolicy {
    /// Removes what builds can make again, and keeps images that have a tag.
    pub fn cache() -> Self {
        Self {
            classes: Class::ALL.into_iter().filter(|class| *class != Class::Tags).collect(),
            older_than: None,
        }
    }

    /// Removes everything.
    pub fn all() -> Self {
        Self {
            classes: Class::ALL.into_iter().collect(),
            older_than: None,
        }
    }
}

impl StateDir {
    /// Removes what the policy names, and returns what each class has freed.
    ///
    /// The scratch space of processes that still live is passed over.
    pub fn prune(&self, _lock: &PruneLock, policy: &PrunePolicy) -> Result<UsageByClass, StateDirError> {
        // A limit before the clock's own beginning removes nothing.
        let before = policy
            .older_than
            .map(|age| SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH));
        let mut freed = UsageByClass::new();
        for class in Class::ALL {
            if policy.classes.contains(&class) {
                freed.insert(class, self.prune_class(class, before)?);
            }
        }
        Ok(freed)
    }

    fn prune_class(&self, class: Class, before: Option<SystemTime>) -> Result<Usage, StateDirError> {
        let dir = self.path(class);
        let mut victims = Victims {
            root: Root::open(&dir)?,
            before,
            freed: Usage::default(),
        };
        match class {
            Class::Records => victims.remove_below(&dir, 2)?,
            Class::Layers | Class::Images | Class::Contexts | Class::Remotes | Class::Mounts | Class::Logs => {
                victims.remove_below(&dir, 1)?
            }
            Class::Snapshots => {
                let snapshots = self.snapshots()?;
                let mut names: Vec<SnapshotName> = Vec::new();
                snapshots.walk::<FsError>(&mut |name, _| {
                    names.push(name.clone());
                    Ok(())
                })?;
                for name in names {
                    if victims.count(Path::new(name.as_str()))? {
                        snapshots.remove(&name)?;
                    }
                }
            }
            Class::Tags => {
                let tags = self.tags();
                for (reference, _) in tags.list()? {
                    if victims.count(&tags.relative_path(&reference)?)? {
                        tags.remove(&reference)?;
                    }
                }
            }
            Class::Blobs => {
                let scratch = self.scratch()?;
                let blobs = self.blobs(&scratch)?;
                let kept = self.tagged(&blobs)?;
                let mut digests = Vec::new();
                blobs.walk(&mut |blob| digests.push(blob.digest))?;
                for digest in digests.into_iter().filter(|digest| !kept.contains(digest)) {
                    let path = blobs.blob_path(digest);
                    if victims.count(path.strip_prefix(&dir).unwrap_or(&path))? {
                        blobs.remove(digest)?;
                    }
                }
            }
            Class::Scratch => {
                let before = measure(victims.root.open_dir(Path::new(""))?)?;
                self.reclaim()?;
                let after = measure(victims.root.open_dir(Path::new(""))?)?;
                victims.freed.bytes = before.bytes.saturating_sub(after.bytes);
                victims.freed.inodes = before.inodes.saturating_sub(after.inodes);
            }
        }
        Ok(victims.freed)
    }

    /// Returns the blobs of all images that have a tag.
    fn tagged(&self, blobs: &ContentStore) -> Result<BTreeSet<Digest>, StateDirError> {
        let mut kept = BTreeSet::new();
        let mut images: Vec<Descriptor> = self.tags().list()?.into_iter().map(|(_, image)| image).collect();
        while let Some(image) = images.pop() {
            if !kept.insert(image.digest) {
                continue;
            }
            // An image whose manifest is gone or damaged has nothing else worth keeping.
            let Ok(bytes) = blobs.read(image.digest, MANIFEST_LIMIT) else {
                continue;
            };
            if image.media_type.is_index() {
                images.extend(
                    serde_json::from_slice::<Index>(&bytes)
                        .into_iter()
                        .flat_map(|index| index.manifests),
                );
            } else if let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) {
                kept.insert(manifest.config.digest);
                kept.extend(manifest.layers.iter().map(|layer| layer.digest));
            }
        }
        Ok(kept)
    }
}

/// The entries of one class that are removed, and what they took.
struct Victims {
    root: Root,
    /// Only what was last changed before this.
    before: Option<SystemTime>,
    freed: Usage,
}

impl Victims {
    /// Tells whether an entry is to go, and then counts it as gone.
    fn count(&mut self, path: &Path) -> Result<bool, StateDirError> {
        let Some(stat) = self.root.stat(path, false)? else {
            return Ok(false);
        };
        let changed = match u64::try_from(stat.mtime.seconds) {
            Ok(seconds) => SystemTime::UNIX_EPOCH + Duration::new(seconds, stat.mtime.nanos),
            Err(_) => SystemTime::UNIX_EPOCH,
        };
        if self.before.is_some_and(|before| changed >= before) {
            return Ok(false);
        }
        if stat.is_dir() {
            let inside = measure(self.root.open_dir(path)?)?;
            self.freed.bytes += inside.bytes;
            self.freed.inodes += inside.inodes;
        }
        self.freed.bytes += stat.blocks * 512;
        self.freed.inodes += 1;
        Ok(true)
    }

    /// Removes the entries that lie `depth` levels below the class's directory.
    fn remove_below(&mut self, dir: &Path, depth: usize) -> Result<(), StateDirError> {
        for name in names(dir)? {
            if depth == 1 {
                self.remove(&name)?;
                continue;
            }
            for entry in names(&dir.join(&name))? {
                self.remove(&name.join(entry))?;
            }
            // Fails, rightly, if an entry was kept.
            let _not_empty = std::fs::remove_dir(dir.join(&name));
        }
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> Result<(), StateDirError> {
        match self.count(path)? {
            true => Ok(self.root.remove_tree(path)?),
            false => Ok(()),
        }
    }
}

/// Returns the names in a directory; none if it is no directory.
fn names(dir: &Path) -> Result<Vec<PathBuf>, StateDirError> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Ok(Vec::new()),
        entries => entries.map_err(StateDirError::io("list", dir))?,
    };
    let name = |entry: std::io::Result<std::fs::DirEntry>| Ok(PathBuf::from(entry?.file_name()));
    entries
        .map(name)
        .collect::<std::io::Result<_>>()
        .map_err(StateDirError::io("list", dir))
}
