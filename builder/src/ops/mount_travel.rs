//! Cache mounts between machines: one that is not here begins with what another machine exported, and what is here can be
//! packed for others.
//!
//! Nothing of it can fail a step: a mount that cannot be had begins empty, as it would without any cache.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use snapshotter::layer::Limits;
use tempfile::TempDir;
use tokio::sync::OwnedMutexGuard;

use super::cache_mount::{self, CacheIdentity, MountPackError, PackedMount};
use super::{Ops, Stored};
use crate::cache::Record;
use crate::diagnostic::Diagnostic;
use crate::image::{ImportedLayer, LayerFormat, LayerPacker, Origin, PullError};
use crate::op::key::{CacheKey, KeyHasher};
use crate::op::{MountSource, Op};
use crate::progress::{Bytes, StepId, Stream};
use crate::state_dir::Class;

/// The largest cache mount that is imported, in bytes of its archive and of its files.
const LIMIT: u64 = 256 << 30;

/// What a build knows of the cache mounts that it uses.
#[derive(Default)]
pub struct Travelling {
    /// Ids by the names of the directories that steps have used.
    used: Mutex<BTreeMap<String, String>>,
    /// Whose turn it is to make a directory: who comes second finds it.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// A cache mount that a step would begin with what another machine has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForeseenMount {
    /// Its id.
    pub id: String,
    /// Where its content would come from.
    pub origin: Origin,
    /// What that takes to fetch, in bytes.
    pub size: u64,
}

/// The content of a new cache mount, and the right to make it.
#[derive(Default)]
pub(super) struct Imported {
    /// The files; `None` if nobody has any, or the mount is here.
    pub(super) files: Option<TempDir>,
    _turn: Option<OwnedMutexGuard<()>>,
}

/// Returns the key under which other machines keep a cache mount; `name` is that of its directory in the store, a digest
/// of its id and of what a new one looks like.
pub fn mount_key(name: &str) -> CacheKey {
    let mut hasher = KeyHasher::new("cache-mount/1");
    hasher.text(name);
    hasher.finish()
}

/// Returns the layer that an entry of a cache mount has.
fn layer_of(record: Record) -> Option<ImportedLayer> {
    let stored: Stored = serde_json::from_value(record.payload).ok()?;
    stored.layers.into_iter().next()?.imported
}

impl Ops {
    /// Notes that a step uses a cache mount.
    pub(super) fn use_mount(&self, id: &str, name: String) {
        let mut used = self.travelling.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.insert(name, id.to_owned());
    }

    /// Fetches the content of a cache mount, unless it is here.
    pub(super) async fn import_mount(&self, id: &str, name: &str, step: Option<StepId>) -> Imported {
        let is_here = || cache_mount::exists(&self.mounts(), name);
        let Some(source) = self.mount_source.as_ref().filter(|_| !is_here()) else {
            return Imported::default();
        };
        let turn = {
            let mut turns = self.travelling.turns.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(name.to_owned()).or_default())
        };
        let turn = Some(turn.lock_owned().await);
        let nothing = |turn| Imported {
            files: None,
            _turn: turn,
        };
        if is_here() {
            return Imported::default();
        }
        let key = mount_key(name);
        let record = source.ask(&[key]).await.remove(&key);
        let Some(layer) = record.and_then(layer_of) else {
            return nothing(turn);
        };
        match self.unpack_mount(&layer, step).await {
            Ok(files) => {
                let size = Bytes(layer.blob.descriptor.size);
                let note = format!("croze: cache mount `{id}` begins with {size} from `{}`\n", layer.origin);
                step.inspect(|step| self.progress.log(*step, Stream::Stderr, note.into()));
                Imported {
                    files: Some(files),
                    _turn: turn,
                }
            }
            Err(error) => {
                let what = format!(
                    "cache mount `{id}` of the cache `{}` cannot be used and begins empty",
                    layer.origin
                );
                self.progress.warn(Diagnostic::consequence(&what, &error));
                nothing(turn)
            }
        }
    }

    /// Finds the cache mounts that are not here and that the steps of these operations would begin with what other machines
    /// have, as far as that is known before they run: not those that are filled from an input.
    pub async fn foresee_mounts<'a>(&self, ops: impl Iterator<Item = &'a Op>) -> Vec<ForeseenMount> {
        let Some(source) = self.mount_source.as_ref().filter(|_| !self.renew_mounts) else {
            return Vec::new();
        };
        let mut wanted = self.known_mounts(ops);
        wanted.retain(|name, _| !cache_mount::exists(&self.mounts(), name));
        let keys: Vec<CacheKey> = wanted.keys().map(|name| mount_key(name)).collect();
        let mut records = source.ask(&keys).await;
        let foreseen = wanted.into_iter().filter_map(|(name, id)| {
            let layer = layer_of(records.remove(&mount_key(&name))?)?;
            Some(ForeseenMount {
                id,
                origin: layer.origin,
                size: layer.blob.descriptor.size,
            })
        });
        foreseen.collect()
    }

    /// Unpacks the content of a cache mount beside the caches.
    async fn unpack_mount(&self, layer: &ImportedLayer, step: Option<StepId>) -> Result<TempDir, PullError> {
        let scratch = self.mount_point.parent().unwrap_or(&self.mount_point);
        let files = tempfile::Builder::new().prefix("mount-").tempdir_in(scratch);
        let files = files.map_err(PullError::Keep)?;
        let into = self.stacks.store().open_beside(files.path())?;
        let limits = Limits {
            bytes: LIMIT,
            ..Limits::default()
        };
        self.imports.unpack_into(layer, into, limits, step).await?;
        Ok(files)
    }

    /// Returns the cache mounts that the targets' steps use, by the names of their directories: ids. One that is filled
    /// from an input is known only if a step has used it in this build.
    pub fn known_mounts<'a>(&self, ops: impl Iterator<Item = &'a Op>) -> BTreeMap<String, String> {
        let runs = ops.filter_map(|op| match op {
            Op::Run(run) => Some(&run.mounts),
            _ => None,
        });
        let mut known: BTreeMap<String, String> = runs
            .flatten()
            .filter_map(|mount| match &mount.source {
                MountSource::Cache {
                    id,
                    input: None,
                    mode,
                    uid,
                    gid,
                    ..
                } => {
                    let identity = CacheIdentity {
                        id,
                        mode: *mode,
                        uid: *uid,
                        gid: *gid,
                        filled_from: None,
                    };
                    Some((identity.directory_name(), id.clone()))
                }
                _ => None,
            })
            .collect();
        let used = self.travelling.used.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(used.iter().map(|(name, id)| (name.clone(), id.clone())));
        known
    }

    /// Packs a cache mount, waiting a while for who uses it. Blocks.
    ///
    /// # Errors
    /// If it cannot be read or packed.
    pub fn pack_mount(
        &self,
        name: &str,
        max_size: u64,
        packer: &LayerPacker,
        format: LayerFormat,
    ) -> Result<PackedMount, MountPackError> {
        cache_mount::pack(
            &self.lease,
            &self.stacks,
            &self.mounts(),
            name,
            max_size,
            (packer, format),
        )
    }

    /// Returns the directory of all cache mounts.
    fn mounts(&self) -> PathBuf {
        self.lease.directory(Class::Mounts)
    }
}
