//! The stores and the client that a build works with, opened once.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use registry::client::{Client, ClientOptions};
use registry::content::ContentStore;
use snapshotter::{Evidence, FsError, Inodes, SnapshotStore, Stacking, Stacks};

use super::{BuildError, BuildRequest, Fetching};
use crate::cache::{CacheStore, LocalCache};
use crate::fetch::{Fetcher, FetcherOptions};
use crate::image::{Allowance, BaseImages, ImportedLayers, LayerPacker, Transfer};
use crate::progress::Progress;
use crate::remote_cache::Sources;
use crate::rung::Sandbox;
use crate::secrets::Secrets;
use crate::state_dir::{BuildLock, Class, Lease, Scratch, StateDir};
use crate::sys;

/// Threads that compress one layer.
const COMPRESSION_THREADS: usize = 4;

/// What a build works with.
pub struct Services {
    /// Where everything is kept.
    pub state: StateDir,
    /// Blobs.
    pub content: ContentStore,
    /// Snapshots.
    pub snapshots: Arc<SnapshotStore>,
    /// Chains of them as trees.
    pub stacks: Stacks,
    /// Records.
    pub cache: Arc<dyn CacheStore>,
    /// Registries.
    pub client: Client,
    /// What steps run in.
    pub sandbox: Sandbox,
    /// The name of this build.
    pub build_id: String,
    /// When it began.
    pub started: jiff::Timestamp,
    /// What the build relies on.
    pub lease: Arc<Lease>,
    /// What a layer of an image may take.
    pub allowance: Allowance,
    pub(super) scratch: Scratch,
    #[expect(dead_code, reason = "held for its lock")]
    lock: BuildLock,
}

impl Services {
    /// Opens the state directory for a build in this sandbox; what dead builds have left is removed on the way. If another
    /// process removes things from the file system of a network, `waits` is told, and then this blocks until it is done.
    ///
    /// # Errors
    /// If the directory cannot be used.
    pub fn open(
        root: &Path,
        client: ClientOptions,
        sandbox: Sandbox,
        waits: &dyn Fn(&Path),
    ) -> Result<Self, BuildError> {
        let state = StateDir::open(root, sandbox.ownership())?;
        let lock = state.lock_for_build(waits)?;
        let scratch = state.scratch()?;
        let lease = Arc::new(state.lease(&scratch)?);
        let content = state.blobs(&scratch)?.kept_by(Arc::<Lease>::clone(&lease));
        let snapshots = Arc::new(state.snapshots()?.kept_by(Arc::<Lease>::clone(&lease)));
        state.reclaim()?;
        let cache = LocalCache::open(state.path(Class::Records), scratch.path().to_owned())?;
        let cache = Arc::new(cache);
        let build_id = scratch.name().to_owned();
        Ok(Self {
            state,
            content,
            stacks: stacks(&snapshots, sandbox.stacking(), scratch.path())?,
            snapshots,
            cache,
            client: Client::new(client),
            sandbox,
            build_id,
            started: jiff::Timestamp::now(),
            lease,
            allowance: Allowance::default(),
            scratch,
            lock,
        })
    }

    /// Returns how the files of a context are to be looked at: what was fetched lies in the store as the store has
    /// it, and everything else is the user's.
    pub(super) fn context_inodes(&self, context: &Path) -> Inodes {
        if context.starts_with(self.state.path(Class::Snapshots)) {
            Inodes::new(self.snapshots.ownership())
        } else {
            Inodes::real()
        }
    }

    /// Makes the empty directory that steps mount over.
    pub(super) fn mount_point(&self) -> Result<PathBuf, BuildError> {
        make_directory(self.scratch.path(), "rootfs")
    }

    /// Returns the directory for the logs of this build.
    pub fn log_directory(&self) -> PathBuf {
        self.state.path(Class::Logs).join(&self.build_id)
    }

    pub(super) fn images(&self, request: &BuildRequest, progress: &Progress) -> Result<BaseImages, BuildError> {
        let local = (!request.pull).then(|| self.state.tags());
        let (notes, scratch) = (self.state.path(Class::Images), self.scratch.path().to_owned());
        Ok(BaseImages::new(self.transfer(progress), notes, scratch, local)
            .with_layouts(request.layouts.iter().cloned()))
    }

    pub(super) fn imports(&self, progress: &Progress, sources: &Sources) -> ImportedLayers {
        let transfer = Transfer {
            objects: sources.stores(),
            ..self.transfer(progress)
        };
        ImportedLayers::new(transfer, sources.origins())
    }

    fn transfer(&self, progress: &Progress) -> Transfer {
        Transfer {
            client: self.client.clone(),
            objects: HashMap::new(),
            content: self.content.clone(),
            stacks: self.stacks.clone(),
            progress: progress.clone(),
            flights: self.state.flights(),
            allowance: self.allowance,
        }
    }

    /// Makes what fetches sources on the network, with credentials out of `secrets`.
    pub fn fetcher(&self, secrets: &Secrets, fetching: &Fetching) -> Fetcher {
        Fetcher::new(FetcherOptions {
            snapshots: Arc::clone(&self.snapshots),
            memory: self.state.path(Class::Remotes),
            lease: Arc::clone(&self.lease),
            scratch: self.scratch.path().to_owned(),
            extra_ca: fetching.extra_ca.clone(),
            proxies: fetching.proxies.clone(),
            secrets: secrets.clone(),
            environment: fetching.environment.clone(),
        })
    }

    pub(super) fn packer(&self) -> LayerPacker {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(COMPRESSION_THREADS));
        LayerPacker::new(
            self.content.clone(),
            Arc::clone(&self.snapshots),
            self.state.path(Class::Layers),
            self.scratch.path().to_owned(),
            threads,
        )
    }
}

/// Makes a directory of croze's own.
fn make_directory(parent: &Path, name: &str) -> Result<PathBuf, BuildError> {
    let path = parent.join(name);
    fs::create_dir(&path).map_err(|error| FsError::new("make directory", &path, error))?;
    Ok(path)
}

/// Makes what stacks the snapshots of a build; where that is croze itself, it does so below `scratch`.
fn stacks(snapshots: &Arc<SnapshotStore>, stacking: Stacking, scratch: &Path) -> Result<Stacks, BuildError> {
    let snapshots = Arc::clone(snapshots);
    match stacking {
        Stacking::Overlay => Ok(Stacks::overlay(snapshots)),
        Stacking::Flat => {
            let trees = make_directory(scratch, "trees")?;
            let examined = sys::mapped_writes_change_times(&trees);
            let evidence = match examined {
                Ok(true) => Evidence::Times,
                Ok(false) => Evidence::Contents,
                Err(source) => return Err(BuildError::Examine { path: trees, source }),
            };
            Ok(Stacks::flat(snapshots, &trees, evidence)?)
        }
    }
}
