//! A whole build: the only place where parser, frontend, solver, operations, layers and outputs meet.

mod attempt;
mod attest;
mod cache_export;
mod check;
mod ended;
mod error;
mod files;
mod finish;
mod finished;
mod inline_cache;
mod layers;
mod lowering;
mod names;
mod observe;
mod outputs;
mod recording;
mod records;
mod request;
mod routes;
mod services;
mod shown;
mod variant;
mod writing;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use registry::oci::Platform;
use tokio_util::sync::CancellationToken;

pub use cache_export::CacheExportError;
pub use check::{Checked, check, outline, targets};
pub use error::BuildError;
pub use finished::Finished;
pub use layers::ShipError;
pub use request::{Annotations, BuildRequest, Fetching};
pub use services::Services;

use crate::cache::{BelievedCache, RecordSource};
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::dockerfile::ignore::Matcher;
use crate::fetch::{CheckedOut, Fetcher};
use crate::frontend::Lowered;
use crate::graph::{Graph, VertexId};
use crate::image::{BaseImages, ImportedLayers};
use crate::op::Op;
use crate::op::key::Define as _;
use crate::ops::{ForeseenMount, LocalContext, OpError, Ops, Surroundings, Travelling, Value};
use crate::progress::Progress;
use crate::remote_cache::{self, Sources};
use crate::solver::{self, Decision, Plan, Problem};
use crate::state_dir::Class;
use ended::Ended;
use recording::Recording;

/// How often a build is planned again because files changed before they were copied.
const MOST_CHANGES: usize = 3;

/// How often a build is planned again because blobs of the store were damaged: made anew they are whole, unless the machine is
/// broken.
const MOST_EVICTIONS: usize = 3;

/// How a running build is told to end.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    /// Ends it: running processes are asked to end.
    pub cancel: CancellationToken,
    /// Ends it at once: running processes are killed.
    pub kill: CancellationToken,
}

/// A build whose plan is made: nothing has run.
pub struct Planned {
    build: Build,
    plan: Plan<Value>,
}

/// A build as it was lowered.
struct Build {
    request: Arc<BuildRequest>,
    services: Arc<Services>,
    progress: Progress,
    images: Arc<BaseImages>,
    imports: Arc<ImportedLayers>,
    lowered: Vec<(Platform, Lowered)>,
    /// The runs of the SBOM generator, one for each platform, if there is one.
    scans: Vec<VertexId>,
    checked_out: CheckedOut,
    problem: Problem<Ops>,
    /// What the last attempt has done.
    recording: Mutex<Recording>,
}

/// Plans a build and carries the plan out; what became of it is kept in the history.
///
/// # Errors
/// If it cannot be planned, a step fails, or the result cannot be written or pushed.
pub async fn run(
    request: BuildRequest,
    services: Services,
    progress: Progress,
    interrupt: &Interrupt,
) -> Result<Finished, BuildError> {
    let (request, services) = (Arc::new(request), Arc::new(services));
    let planned = plan(Arc::clone(&request), Arc::clone(&services), progress.clone(), interrupt).await;
    match planned {
        Ok(planned) => planned.execute(interrupt).await,
        Err(error) => {
            let ended = Ended {
                request: &request,
                services: &services,
                steps: Vec::new(),
            };
            ended.remember(Some(&error), &progress);
            Err(error)
        }
    }
}

/// Reads the Dockerfile, resolves its images, lowers it and plans.
///
/// # Errors
/// If the Dockerfile is wrong, or an image or context cannot be had.
pub async fn plan(
    request: impl Into<Arc<BuildRequest>>,
    services: impl Into<Arc<Services>>,
    progress: Progress,
    interrupt: &Interrupt,
) -> Result<Planned, BuildError> {
    let (request, services) = (request.into(), services.into());
    let dockerfile = lowering::load_definition(&request, &progress)?;
    let images = Arc::new(services.images(&request, &progress)?);
    let fetcher = Arc::new(services.fetcher(&request.secrets, &request.fetching));
    let lowering = lowering::lower(&request, dockerfile, &images, &fetcher, &progress);
    let opening = Sources::open(&request.cache_from, &services.client, &progress);
    let looking = async {
        // A mistake in the Dockerfile is told at once, also while a cache cannot be reached.
        let found = tokio::try_join!(lowering, async { Ok(opening.await) })?;
        Ok::<_, BuildError>((found, checked_out(&request, &fetcher).await))
    };
    // All of that may wait for the network.
    let looked = interrupt.cancel.run_until_cancelled(looking).await;
    let ((everything, sources), checked_out) = looked.ok_or(BuildError::Cancelled)??;
    let lowering::Everything { lowered, scans, graph } = everything;
    let imports = Arc::new(services.imports(&progress, &sources));
    let elsewhere = (!sources.is_empty()).then(|| Arc::new(sources) as Arc<dyn RecordSource>);
    let results = lowered.iter().filter_map(|(_, lowered)| lowered.rootfs);
    let targets: Vec<VertexId> = results.chain(scans.iter().copied()).collect();
    let contexts = contexts(&request, &services, &graph)?;
    let ops = Ops {
        lease: Arc::clone(&services.lease),
        stacks: services.stacks.clone(),
        images: Arc::clone(&images),
        imports: Arc::clone(&imports),
        fetcher,
        contexts,
        secrets: request.secrets.clone(),
        devices: Arc::clone(&request.devices),
        surroundings: Surroundings {
            resolv_conf: request.resolv_conf.clone(),
            shm_size: request.shm_size,
            limits: request.limits.clone(),
        },
        progress: progress.clone(),
        source_ops: outside(&graph),
        steps: names::declare(&progress, &graph, &targets),
        kill: interrupt.kill.clone(),
        confinement: services.sandbox.confinement(),
        executor: OnceLock::new(),
        mount_point: services.mount_point()?,
        mount_source: elsewhere.clone(),
        travelling: Travelling::default(),
        renew_mounts: request.no_cache_mounts,
        emptied_caches: Arc::default(),
        revisions: Mutex::default(),
        selected: Mutex::default(),
    };
    let problem = Problem {
        graph: Arc::new(graph),
        targets,
        evaluator: Arc::new(ops),
        cache: Arc::new(BelievedCache::new(
            Arc::clone(&services.cache),
            remote_cache::identities(&request.cache_from),
        )),
        elsewhere,
        flights: Some(services.state.flights()),
        scope: scope(&request),
        build: services.build_id.clone(),
    };
    let build = Build {
        request,
        services,
        progress,
        images,
        imports,
        lowered,
        scans,
        checked_out,
        problem,
        recording: Mutex::default(),
    };
    let plan = build.plan(interrupt).await?;
    Ok(Planned { build, plan })
}

/// Returns the operations that stand for something outside.
fn outside(graph: &Graph<Op>) -> HashMap<VertexId, Op> {
    let sources = graph.iter().filter(|vertex| vertex.op.is_source());
    sources.map(|vertex| (vertex.id, vertex.op.clone())).collect()
}

/// Returns what tells the builds of one Dockerfile from those of others that may have the same name elsewhere.
fn scope(request: &BuildRequest) -> String {
    let context = request.directories.get("context");
    let context = context.map(|directory| directory.path.display().to_string());
    format!("{} {}", context.unwrap_or_default(), request.dockerfile.name())
}

/// Returns where a local context was checked out from, if that is to be told.
async fn checked_out(request: &BuildRequest, fetcher: &Fetcher) -> CheckedOut {
    match request.directories.get("context") {
        Some(context) if request.attest.provenance.is_some() && request.source.context.is_none() => {
            fetcher.checked_out(&context.path).await
        }
        _ => CheckedOut::default(),
    }
}

impl Planned {
    /// Returns whether nothing would run.
    pub fn is_complete(&self) -> bool {
        self.plan.is_complete()
    }

    /// Finds the cache mounts that steps which would run begin with what other machines have.
    pub async fn mounts(&self) -> Vec<ForeseenMount> {
        let runs = self
            .plan
            .iter()
            .filter(|(_, planned)| matches!(planned.decision, Decision::Run(_)));
        let graph = &self.build.problem.graph;
        let ops = runs.map(|(id, _)| &graph.vertex(id).op);
        self.build.problem.evaluator.foresee_mounts(ops).await
    }

    /// Carries the plan out and brings the result where the request wants it.
    ///
    /// What another machine made may turn out to be gone or damaged when it is needed, and so may a blob of this one; then
    /// the plan is made again without it. So it is when somebody has changed a file since it was planned to copy it. What has
    /// run meanwhile is in the cache.
    ///
    /// # Errors
    /// If a step fails, or the result cannot be written or pushed.
    pub async fn execute(self, interrupt: &Interrupt) -> Result<Finished, BuildError> {
        let Self { build, plan } = self;
        let outcome = build.execute(plan, interrupt).await;
        let ended = Ended {
            request: &build.request,
            services: &build.services,
            steps: build.recording.lock().unwrap_or_else(PoisonError::into_inner).steps(),
        };
        ended.remember(outcome.as_ref().err(), &build.progress);
        outcome
    }
}

impl Build {
    async fn execute(&self, mut plan: Plan<Value>, interrupt: &Interrupt) -> Result<Finished, BuildError> {
        let (mut repacked, mut changes, mut evictions) = (BTreeSet::new(), 0, 0);
        loop {
            let outcome = self.attempt(plan, interrupt).await;
            let losses = self.imports.take_losses();
            for loss in &losses {
                let warning = Diagnostic::consequence(&loss.to_string(), &*loss.source);
                self.progress.warn(warning);
            }
            let error = match outcome {
                Err(error) if !interrupt.cancel.is_cancelled() => error,
                outcome => return outcome,
            };
            // The other blob is noted now; the image is put together again with it. Once for each layer.
            let is_new = error.repacked().is_some_and(|layer| repacked.insert(layer));
            let change = error.change().filter(|_| changes < MOST_CHANGES);
            if losses.is_empty() && !is_new && change.is_none() {
                if !self.evict_damaged().await {
                    return Err(error);
                }
                if evictions == MOST_EVICTIONS {
                    let source = Box::new(error);
                    return Err(BuildError::DamagedAgain { source });
                }
                evictions += 1;
            }
            if let Some(change) = change {
                changes += 1;
                let warning = Diagnostic::consequence("what is left of the build is planned again", change);
                self.progress.warn(warning);
            }
            plan = self.plan(interrupt).await?;
        }
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.plan.display(&self.build.problem.graph).fmt(f)
    }
}

/// Opens the directories that the graph reads.
fn contexts(
    request: &BuildRequest,
    services: &Services,
    graph: &Graph<Op>,
) -> Result<BTreeMap<String, Arc<LocalContext>>, BuildError> {
    let wanted = graph.iter().filter_map(|vertex| match &vertex.op {
        Op::Local(op) => Some(op.name.clone()),
        _ => None,
    });
    let mut contexts = BTreeMap::new();
    for name in wanted.collect::<BTreeSet<_>>() {
        if let Some(directory) = request.directories.get(&name) {
            let ignored = ignore_patterns(directory.ignore.as_ref())?;
            let ignored = match services.state.within(&directory.path) {
                Some(path) => ignored.withholding(&path),
                None => ignored,
            };
            let memory = services.state.path(Class::Contexts);
            let inodes = services.context_inodes(&directory.path);
            let context = LocalContext::open(&directory.path, inodes, ignored, &memory)?;
            contexts.insert(name, context);
        }
    }
    Ok(contexts)
}

fn step_error(problem: &Problem<Ops>, failure: solver::Failure<OpError>) -> BuildError {
    match failure {
        solver::Failure::Operation { vertex, name, error } => BuildError::Step {
            name,
            origin: problem.graph.vertex(vertex).meta.origin,
            step: problem.evaluator.steps.get(&vertex).copied(),
            source: Box::new(error),
        },
        solver::Failure::Panicked { name, message, .. } => BuildError::Panicked { name, message },
        solver::Failure::Cancelled => BuildError::Cancelled,
    }
}

/// Compiles an ignore file; none hides nothing.
fn ignore_patterns(file: Option<&Arc<SourceFile>>) -> Result<Matcher, BuildError> {
    let Some(file) = file else {
        return Ok(Matcher::default());
    };
    Matcher::parse(file.text()).map_err(|error| {
        let diagnostic = Diagnostic::error(error.to_string()).in_file(file).at(error.span(), "");
        BuildError::IgnoreFile(vec![diagnostic])
    })
}
