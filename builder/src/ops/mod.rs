//! What operations do: the solver's evaluator over real images, contexts, snapshots and processes.

mod agent;
mod aspects;
mod bind;
mod cache_mount;
mod contents;
mod error;
mod files;
mod local;
mod mount_travel;
mod mounts;
mod recheck;
mod run;
mod value;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures_util::future::try_join_all;
use registry::oci::Digest;
use snapshotter::{Root, SnapshotName, Stacks};
use tokio_util::sync::CancellationToken;

use crate::cache::{Aspects, Record, RecordSource};
use crate::context::Selection;
use crate::devices::DeviceRegistry;
use crate::executor::{Executor, ResourceLimit};
use crate::fetch::{FetchError, Fetched, Fetcher, Revision};
use crate::graph::{Vertex, VertexId};
use crate::image::{BaseImages, ImportedLayers};
use crate::op::Op;
use crate::op::key::CacheKey;
use crate::progress::{Progress, StepId, Stream};
use crate::rung::Confinement;
use crate::solver::{Evaluator, Excerpt, Made, Pinned, Serves, Work};
use crate::state_dir::Lease;

pub use crate::secrets::{SecretError, SecretSource, Secrets};
pub use cache_mount::{CacheMountError, MountPackError, PackedMount};
pub use error::OpError;
pub use local::{LocalContext, LocalDirectory};
pub use mount_travel::{ForeseenMount, Travelling, mount_key};
pub use value::{Rootfs, StepLayer, Stored, Value};

/// Performs the operations of one build.
pub struct Ops {
    /// What the build relies on of what is kept.
    pub lease: Arc<Lease>,
    /// Snapshots in it, and chains of them as trees.
    pub stacks: Stacks,
    /// Images that the build names.
    pub images: Arc<BaseImages>,
    /// Layers that other machines made.
    pub imports: Arc<ImportedLayers>,
    /// Fetches what is on the network.
    pub fetcher: Arc<Fetcher>,
    /// Context directories by name.
    pub contexts: BTreeMap<String, Arc<LocalContext>>,
    /// What the command line gave for mounts.
    pub secrets: Secrets,
    /// The devices of the machine.
    pub devices: Arc<DeviceRegistry>,
    /// What `RUN` steps get of the machine.
    pub surroundings: Surroundings,
    /// Where to tell what happens.
    pub progress: Progress,
    /// The sources of the graph.
    pub source_ops: HashMap<VertexId, Op>,
    /// The displayed steps.
    pub steps: HashMap<VertexId, StepId>,
    /// Cancelled when running processes are to be killed at once instead of being asked to end.
    pub kill: CancellationToken,
    /// What confines them; without it none can run.
    pub confinement: Option<Confinement>,
    /// Runs processes; made when the first one runs.
    pub executor: OnceLock<Executor>,
    /// An empty directory for the executor.
    pub mount_point: PathBuf,
    /// Where the content of cache mounts that this machine lacks is, if anywhere.
    pub mount_source: Option<Arc<dyn RecordSource>>,
    /// Which cache mounts this build has used, and which of them are being imported.
    pub travelling: Travelling,
    /// Whether cache mounts begin empty: `--no-cache-mounts`.
    pub renew_mounts: bool,
    /// Cache mounts that were made empty in this build.
    pub emptied_caches: Arc<Mutex<HashSet<String>>>,
    /// Which versions of the sources on the network were found.
    pub revisions: Mutex<BTreeMap<VertexId, Revision>>,
    /// What was digested for the key of a copy or for bind mounts, by vertex and input, until the vertex runs or need not.
    pub selected: Mutex<HashMap<(VertexId, usize), Vec<Selection>>>,
}

/// What `RUN` steps get of the machine; none of it enters a key.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Content of `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// Bytes of `/dev/shm`.
    pub shm_size: u64,
    /// Resource limits.
    pub limits: Vec<ResourceLimit>,
}

impl Evaluator for Ops {
    type Op = Op;
    type Value = Value;
    type Error = OpError;

    async fn pin(&self, vertex: &Vertex<Op>) -> Result<Pinned<Value>, OpError> {
        match &vertex.op {
            Op::Image(op) => {
                let base = self.images.resolve(&op.reference, &op.platform).await?;
                let identity = base.chain_id().map_or_else(|| Digest::of(b""), |chain| chain.0);
                let value = Value::Files(Rootfs {
                    base: Some(base),
                    ..Rootfs::default()
                });
                Ok(Pinned {
                    identity: Some(identity),
                    value,
                })
            }
            Op::Local(op) => {
                let context = self
                    .contexts
                    .get(&op.name)
                    .ok_or_else(|| OpError::NoContext(op.name.clone()))?;
                Ok(Pinned {
                    identity: None,
                    value: Value::Context(Arc::clone(context)),
                })
            }
            Op::Http(op) => self.pin_fetched(vertex, self.fetcher.http(op)).await,
            Op::Git(op) => self.pin_fetched(vertex, self.fetcher.git(op)).await,
            Op::Run(_) | Op::Copy(_) | Op::Workdir(_) | Op::Merge => Err(OpError::NotASource(vertex.meta.name.clone())),
        }
    }

    async fn load(&self, _vertex: &Vertex<Op>, record: &Record) -> Option<Value> {
        let stored: Stored = serde_json::from_value(record.payload.clone()).ok()?;
        // Equal keys start from equal files, so the base is one that this build has pinned.
        let base = match stored.base {
            None => None,
            Some(chain) => Some(self.images.by_chain(chain)?),
        };
        let is_at_hand = |layer: &StepLayer| {
            let imported = layer.imported.as_ref();
            self.is_unpacked(layer) || imported.is_some_and(|layer| self.imports.is_at_hand(layer))
        };
        stored.layers.iter().all(is_at_hand).then(|| {
            Value::Files(Rootfs {
                base,
                layers: stored.layers.into(),
            })
        })
    }

    fn is_lasting(&self, error: &OpError) -> bool {
        error.is_lasting()
    }

    fn is_local(&self, value: &Value) -> bool {
        match value {
            Value::Context(_) => true,
            Value::Files(files) => {
                let is_pulled = files.base.as_ref().is_none_or(|base| self.images.is_unpacked(base));
                is_pulled && files.layers.iter().all(|layer| self.is_unpacked(layer))
            }
        }
    }

    async fn contents(&self, excerpts: &[Excerpt<'_, Self>]) -> Vec<Result<Digest, OpError>> {
        self.digest_all(excerpts).await
    }

    fn aspects(&self, vertex: &Vertex<Op>) -> Aspects {
        self.aspects_of(vertex)
    }

    async fn run(&self, vertex: &Vertex<Op>, work: Work<Value>) -> Result<Made<Value>, OpError> {
        for value in &work.inputs {
            let unpacked = work
                .cancel
                .run_until_cancelled(self.ensure_unpacked(vertex, value))
                .await;
            unpacked.unwrap_or(Err(OpError::Cancelled))?;
        }
        let mut serves = Serves::Every;
        let files = match &vertex.op {
            Op::Run(op) => {
                let selected = self.take_selected(vertex);
                let files;
                (files, serves) = run::run(self, vertex, op, &work, selected).await?;
                files
            }
            Op::Copy(op) => {
                let (op, stacks) = (op.clone(), self.stacks.clone());
                let mut selected = self.take_selected(vertex);
                let copying = move || files::copy(&stacks, &op, &work, |input| selected.remove(&input));
                let (files, copied) = blocking(copying).await?;
                self.tell_of_devices(vertex, copied.devices_skipped);
                files
            }
            Op::Workdir(op) => {
                let (op, inputs, stacks) = (op.clone(), work.inputs.clone(), self.stacks.clone());
                blocking(move || files::make_workdir(&stacks, &op, &inputs, work.key)).await?
            }
            Op::Merge => rootfs(&work.inputs, 0).stacked(&rootfs(&work.inputs, 1)),
            Op::Image(_) | Op::Local(_) | Op::Http(_) | Op::Git(_) => {
                return Err(OpError::Source(vertex.meta.name.clone()));
            }
        };
        let payload = serde_json::to_value(files.stored()).map_err(OpError::Record)?;
        Ok(Made {
            value: Value::Files(files),
            payload,
            serves,
        })
    }
}

impl Ops {
    /// Fetches a source while its step is shown.
    async fn pin_fetched(
        &self,
        vertex: &Vertex<Op>,
        fetching: impl Future<Output = Result<Fetched, FetchError>>,
    ) -> Result<Pinned<Value>, OpError> {
        let step = self.step(vertex);
        step.inspect(|step| self.progress.started(*step));
        let fetched = fetching.await;
        step.inspect(|step| {
            let error = fetched.as_ref().err().map(ToString::to_string);
            self.progress.completed(*step, error);
        });
        let Fetched {
            identity,
            revision,
            snapshot,
            ..
        } = fetched?;
        let mut revisions = self.revisions.lock().unwrap_or_else(PoisonError::into_inner);
        revisions.insert(vertex.id, revision);
        drop(revisions);
        let value = Value::Files(Rootfs::default().with(made_now(snapshot)));
        Ok(Pinned {
            identity: Some(identity),
            value,
        })
    }

    /// Returns the displayed step of a vertex.
    fn step(&self, vertex: &Vertex<Op>) -> Option<StepId> {
        self.steps.get(&vertex.id).copied()
    }

    /// Says in a step's log that archives have devices that cannot be made here.
    fn tell_of_devices(&self, vertex: &Vertex<Op>, skipped: u64) {
        if let (Some(step), 1..) = (self.step(vertex), skipped) {
            let note = format!(
                "croze: device nodes left out, which cannot be made in a user namespace: {skipped}; `--sandbox \
                 userns-single` keeps them\n"
            );
            self.progress.log(step, Stream::Stderr, note.into());
        }
    }

    /// Looks at what was digested of an input for the key of a vertex, if that is still here.
    fn with_selected<T>(&self, vertex: &Vertex<Op>, input: usize, look: impl FnOnce(&[Selection]) -> T) -> Option<T> {
        let selected = self.selected.lock().unwrap_or_else(PoisonError::into_inner);
        selected.get(&(vertex.id, input)).map(|selections| look(selections))
    }

    /// Forgets what was digested for the keys of all vertices but these: the others need not run.
    pub fn forget_selected_but(&self, run: &HashSet<VertexId>) {
        let mut selected = self.selected.lock().unwrap_or_else(PoisonError::into_inner);
        selected.retain(|(vertex, _), _| run.contains(vertex));
    }

    /// Forgets what was digested for the key of a vertex that need not run.
    pub fn forget_selected(&self, vertex: VertexId) {
        let mut selected = self.selected.lock().unwrap_or_else(PoisonError::into_inner);
        selected.retain(|(selected, _), _| *selected != vertex);
    }

    /// Takes what was digested for the key of a vertex: its copy must give just that.
    fn take_selected(&self, vertex: &Vertex<Op>) -> HashMap<usize, Vec<Selection>> {
        let mut selected = self.selected.lock().unwrap_or_else(PoisonError::into_inner);
        let inputs = 0..vertex.inputs.len();
        inputs
            .filter_map(|input| Some((input, selected.remove(&(vertex.id, input))?)))
            .collect()
    }

    /// Returns what runs processes.
    fn executor(&self, command: &str) -> Result<&Executor, OpError> {
        if let Some(executor) = self.executor.get() {
            return Ok(executor);
        }
        let confinement = self.confinement.ok_or(OpError::NoSandbox)?;
        // Two steps may come here at once; the copy of the one that loses is dropped.
        let executor = Executor::new(&self.mount_point, confinement).map_err(|source| OpError::Exec {
            command: command.to_owned(),
            source,
        })?;
        Ok(self.executor.get_or_init(|| executor))
    }

    /// Makes the snapshots of a value whose files are about to be seen: pulls its base, imports its layers.
    async fn ensure_unpacked(&self, vertex: &Vertex<Op>, value: &Value) -> Result<(), OpError> {
        match value {
            Value::Files(files) => self.unpack(files, self.step(vertex)).await,
            Value::Context(_) => Ok(()),
        }
    }

    /// Makes all snapshots of a root file system that are not there yet; shown as a part of `step`.
    ///
    /// # Errors
    /// If a layer cannot be had or is not what it should be.
    pub async fn unpack(&self, files: &Rootfs, step: Option<StepId>) -> Result<(), OpError> {
        let base = async {
            match &files.base {
                Some(base) => Ok(self.images.unpack(base, step).await?),
                None => Ok::<_, OpError>(()),
            }
        };
        let imported = files.layers.iter().filter_map(|layer| layer.imported.as_ref());
        let imported = try_join_all(imported.map(async |layer| Ok(self.imports.unpack(layer, step).await?)));
        tokio::try_join!(base, imported).map(drop)
    }

    fn is_unpacked(&self, layer: &StepLayer) -> bool {
        matches!(self.stacks.store().stat(&layer.snapshot), Ok(Some(_)))
    }
}

/// Returns the root file system at an input; an absent one, or a context, is empty.
fn rootfs(inputs: &[Value], position: usize) -> Rootfs {
    match inputs.get(position) {
        Some(Value::Files(files)) => files.clone(),
        Some(Value::Context(_)) | None => Rootfs::default(),
    }
}

/// Returns the root file system that an operation changes: input 0, unless it starts from nothing.
fn changed(inputs: &[Value], scratch: bool) -> Rootfs {
    if scratch { Rootfs::default() } else { rootfs(inputs, 0) }
}

/// Looks at a root file system.
fn look<T>(stacks: &Stacks, files: &Rootfs, look: impl FnOnce(Root) -> Result<T, OpError>) -> Result<T, OpError> {
    let view = stacks.view(&files.chain())?;
    look(view.open()?)
}

/// Names the snapshot that is made for a key.
fn snapshot_name(key: CacheKey) -> Result<SnapshotName, OpError> {
    Ok(SnapshotName::new(&format!("step-{}", key.digest().hex()))?)
}

/// Returns the layer that a committed snapshot is, as of now.
fn made_now(snapshot: SnapshotName) -> StepLayer {
    StepLayer {
        snapshot,
        created: jiff::Timestamp::now().to_string(),
        imported: None,
    }
}

/// Runs what blocks on a thread that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, OpError> + Send + 'static) -> Result<T, OpError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_cancelled) => Err(OpError::Cancelled),
    }
}
