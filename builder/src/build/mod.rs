//! A whole build: the only place where parser, frontend, solver, operations, layers and outputs meet.

mod attest;
mod check;
mod error;
mod files;
mod finish;
mod layers;
mod lowering;
mod names;
mod observe;
mod outputs;
mod request;
mod services;
mod variant;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use registry::oci::{Platform, Reference};
use tokio_util::sync::CancellationToken;

pub use check::{Checked, check, outline, targets};
pub use error::BuildError;
pub use finish::Finished;
pub use layers::ShipError;
pub use request::{Annotations, BuildRequest, Fetching};
pub use services::Services;

use crate::diagnostic::{Diagnostic, SourceFile};
use crate::dockerfile::ignore::Matcher;
use crate::fetch::{CheckedOut, Fetcher};
use crate::frontend::Lowered;
use crate::graph::{Graph, VertexId};
use crate::image::{BaseImages, LayerFormat};
use crate::op::Op;
use crate::ops::{LocalContext, OpError, Ops, Surroundings};
use crate::progress::Progress;
use crate::solver::{self, Decision, Plan, Problem};
use crate::state_dir::Class;
use layers::LayerTasks;
use observe::BuildObserver;
use variant::Variant;

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
    request: BuildRequest,
    services: Services,
    progress: Progress,
    images: Arc<BaseImages>,
    lowered: Vec<(Platform, Lowered)>,
    /// The runs of the SBOM generator, one for each platform, if there is one.
    scans: Vec<VertexId>,
    checked_out: CheckedOut,
    problem: Problem<Ops>,
    plan: Plan<crate::ops::Value>,
}

/// Reads the Dockerfile, resolves its images, lowers it and plans.
///
/// # Errors
/// If the Dockerfile is wrong, or an image or context cannot be had.
pub async fn plan(
    request: BuildRequest,
    services: Services,
    progress: Progress,
    interrupt: &Interrupt,
) -> Result<Planned, BuildError> {
    let dockerfile = lowering::load_definition(&request, &progress)?;
    let images = Arc::new(services.images(&request, &progress)?);
    let fetcher = Arc::new(services.fetcher(&request.secrets, &request.fetching));
    let lowering::Everything { lowered, scans, graph } =
        lowering::lower(&request, dockerfile, &images, &fetcher, &progress).await?;
    let results = lowered.iter().filter_map(|(_, lowered)| lowered.rootfs);
    let targets: Vec<VertexId> = results.chain(scans.iter().copied()).collect();
    let contexts = contexts(&request, &services, &graph)?;
    let checked_out = checked_out(&request, &fetcher).await;
    let ops = Ops {
        state: services.state.clone(),
        stacks: services.stacks.clone(),
        images: Arc::clone(&images),
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
        steps: names::declare(&progress, &graph, &targets),
        kill: interrupt.kill.clone(),
        confinement: services.sandbox.confinement(),
        executor: OnceLock::new(),
        mount_point: services.mount_point()?,
        emptied_caches: Arc::default(),
        revisions: Mutex::default(),
        selected: Mutex::default(),
    };
    let problem = Problem {
        graph: Arc::new(graph),
        targets,
        evaluator: Arc::new(ops),
        cache: Arc::clone(&services.cache),
        scope: request.dockerfile.name().to_owned(),
        build: services.build_id.clone(),
    };
    // A plan may wait for the network; dropped, it ends with what it has started.
    let plan = tokio::select! {
        plan = solver::plan(&problem) => plan.map_err(|failure| step_error(&problem, failure))?,
        () = interrupt.cancel.cancelled() => return Err(BuildError::Cancelled),
    };
    Ok(Planned {
        request,
        services,
        progress,
        images,
        lowered,
        scans,
        checked_out,
        problem,
        plan,
    })
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

    /// Carries the plan out and brings the result where the request wants it.
    ///
    /// # Errors
    /// If a step fails, or the result cannot be written or pushed.
    pub async fn execute(self, interrupt: &Interrupt) -> Result<Finished, BuildError> {
        self.needs_no_missing_sandbox()?;
        let epoch = self.lowered.iter().find_map(|(_, lowered)| lowered.epoch);
        let variants = Variant::of_request(&self.request, epoch);
        let tasks = Arc::new(self.layer_tasks(&variants));
        let layers = self
            .lowered
            .iter()
            .flat_map(|(_, lowered)| &lowered.history)
            .filter_map(|entry| entry.layer);
        let mut observer = BuildObserver {
            progress: self.progress.clone(),
            steps: self.problem.evaluator.steps.clone(),
            layers: layers.collect::<HashSet<_>>(),
            tasks: Arc::clone(&tasks),
        };
        let limits = solver::Limits {
            jobs: self.request.jobs,
            cancel: interrupt.cancel.clone(),
        };
        let solved = solver::execute(&self.problem, self.plan, limits, &mut observer).await;
        let solved = solved.map_err(|failure| step_error(&self.problem, failure))?;
        let remembered = self
            .problem
            .evaluator
            .contexts
            .values()
            .map(|context| context.remembered.save());
        for error in remembered.filter_map(Result::err) {
            self.progress
                .warn(Diagnostic::warning("the digests of context files could not be kept").because(&error));
        }
        let fetched = &self.problem.evaluator.revisions;
        let attester = attest::Attester {
            request: &self.request,
            services: &self.services,
            images: &self.images,
            graph: &self.problem.graph,
            fetched: fetched.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            checked_out: &self.checked_out,
        };
        let finish = finish::Finish {
            attester: &attester,
            request: &self.request,
            services: &self.services,
            progress: &self.progress,
            images: &self.images,
            variants: &variants,
            epoch,
            tasks: &tasks,
        };
        let value = |vertex| solved.get(&vertex).map(|solved| solved.value.clone());
        tokio::select! {
            finished = finish.run(&self.lowered, &self.scans, value) => finished,
            () = interrupt.cancel.cancelled() => Err(BuildError::Cancelled),
        }
    }

    /// Fails if a step has to run and none can, before any other work is done in vain.
    fn needs_no_missing_sandbox(&self) -> Result<(), BuildError> {
        if self.services.sandbox.confinement().is_some() {
            return Ok(());
        }
        let runs = self.plan.iter().filter_map(|(vertex, planned)| {
            let has_to_run = matches!(planned.decision, Decision::Run(_));
            (has_to_run && matches!(self.problem.graph.vertex(vertex).op, Op::Run(_))).then_some(vertex)
        });
        match runs.into_iter().next() {
            None => Ok(()),
            Some(vertex) => {
                let name = self.problem.graph.vertex(vertex).meta.name.clone();
                let error = OpError::NoSandbox;
                Err(step_error(
                    &self.problem,
                    solver::Failure::Operation { vertex, name, error },
                ))
            }
        }
    }

    fn layer_tasks(&self, variants: &[Variant]) -> LayerTasks {
        let mut formats: Vec<(LayerFormat, Vec<Reference>)> = Vec::new();
        for variant in variants {
            // What is all in the cache is most likely in the registry as well: then the manifest is asked for first.
            let pushed_early = variant.is_pushed() && !self.plan.is_complete();
            let destinations = if pushed_early {
                repositories(&variant.names)
            } else {
                Vec::new()
            };
            match formats.iter_mut().find(|(format, _)| *format == variant.format) {
                Some((_, known)) => known.extend(destinations),
                None => formats.push((variant.format, destinations)),
            }
        }
        LayerTasks::new(self.services.packer(), formats, self.services.client.clone())
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.plan.display(&self.problem.graph).fmt(f)
    }
}

/// Keeps one reference of each repository.
fn repositories(references: &[Reference]) -> Vec<Reference> {
    let mut seen = BTreeSet::new();
    let is_new = |r: &&Reference| seen.insert((r.registry().to_owned(), r.repository().to_owned()));
    references.iter().filter(is_new).cloned().collect()
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
