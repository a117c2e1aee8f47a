//! A whole build: the only place where parser, frontend, solver, operations, layers and outputs meet.

mod cache_export;
mod check;
mod error;
mod finish;
mod inline_cache;
mod layers;
mod lowering;
mod names;
mod observe;
mod outputs;
mod records;
mod request;
mod services;
mod variant;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::error::Error as _;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use jiff::Timestamp;
use registry::oci::{Platform, Reference};
use tokio_util::sync::CancellationToken;

pub use cache_export::CacheExportError;
pub use check::{Checked, check, outline, targets};
pub use error::BuildError;
pub use finish::Finished;
pub use layers::ShipError;
pub use request::{Annotations, BuildRequest, Fetching};
pub use services::Services;

use crate::cache::RecordSource;
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::dockerfile::ignore::Matcher;
use crate::frontend::Lowered;
use crate::graph::{Graph, VertexId};
use crate::image::{BaseImages, ImportedLayers, LayerFormat};
use crate::op::Op;
use crate::op::key::Define as _;
use crate::ops::{LocalContext, Ops, Surroundings, Value};
use crate::progress::Progress;
use crate::remote_cache::{CacheTo, Mode, Sources};
use crate::solver::{self, Plan, Problem, Solution};
use crate::state_dir::Class;
use cache_export::CacheExports;
use inline_cache::Inline;
use layers::{LayerTasks, Shipper};
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
    build: Build,
    plan: Plan<Value>,
}

/// A build as it was lowered.
struct Build {
    request: BuildRequest,
    services: Services,
    progress: Progress,
    images: Arc<BaseImages>,
    imports: Arc<ImportedLayers>,
    lowered: Vec<(Platform, Lowered)>,
    problem: Problem<Ops>,
    began: Timestamp,
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
    let began = Timestamp::now();
    let dockerfile = lowering::load_definition(&request, &progress)?;
    let images = Arc::new(services.images(&request, &progress)?);
    let lowering = lowering::lower(&request, dockerfile, &images, &progress);
    let opening = Sources::open(&request.cache_from, &services.client, &progress);
    let (lowered, sources) = tokio::join!(lowering, opening);
    let (lowered, graph) = lowered?;
    let imports = Arc::new(services.imports(&progress, sources.origins()));
    let targets: Vec<VertexId> = lowered.iter().filter_map(|(_, lowered)| lowered.rootfs).collect();
    let contexts = contexts(&request, &services, &graph)?;
    let ops = Ops {
        state: services.state.clone(),
        snapshots: Arc::clone(&services.snapshots),
        images: Arc::clone(&images),
        imports: Arc::clone(&imports),
        fetcher: Arc::new(services.fetcher(&request.secrets, &request.fetching)),
        contexts,
        secrets: request.secrets.clone(),
        surroundings: Surroundings {
            resolv_conf: request.resolv_conf.clone(),
            shm_size: request.shm_size,
        },
        progress: progress.clone(),
        steps: names::declare(&progress, &graph, &targets),
        kill: interrupt.kill.clone(),
        executor: OnceLock::new(),
        mount_point: services.mount_point()?,
        emptied_caches: Arc::default(),
        selected: Mutex::default(),
    };
    let problem = Problem {
        graph: Arc::new(graph),
        targets,
        evaluator: Arc::new(ops),
        cache: Arc::clone(&services.cache),
        elsewhere: (!sources.is_empty()).then(|| Arc::new(sources) as Arc<dyn RecordSource>),
        scope: request.dockerfile.name().to_owned(),
        build: services.build_id.clone(),
    };
    let build = Build {
        request,
        services,
        progress,
        images,
        imports,
        lowered,
        problem,
        began,
    };
    let plan = build.plan(interrupt).await?;
    Ok(Planned { build, plan })
}

impl Planned {
    /// Returns whether nothing would run.
    pub fn is_complete(&self) -> bool {
        self.plan.is_complete()
    }

    /// Carries the plan out and brings the result where the request wants it.
    ///
    /// What another machine made may turn out to be gone or damaged when it is needed; then the plan is made again
    /// without it. What has run meanwhile is in the cache.
    ///
    /// # Errors
    /// If a step fails, or the result cannot be written or pushed.
    pub async fn execute(self, interrupt: &Interrupt) -> Result<Finished, BuildError> {
        let Self { build, mut plan } = self;
        loop {
            let outcome = build.attempt(plan, interrupt).await;
            let losses = build.imports.take_losses();
            for loss in &losses {
                let warning = Diagnostic::warning(loss.to_string());
                build.progress.warn(match loss.source() {
                    Some(cause) => warning.because(cause),
                    None => warning,
                });
            }
            match outcome {
                Err(_) if !losses.is_empty() && !interrupt.cancel.is_cancelled() => {
                    plan = build.plan(interrupt).await?
                }
                outcome => return outcome,
            }
        }
    }
}

impl Build {
    async fn plan(&self, interrupt: &Interrupt) -> Result<Plan<Value>, BuildError> {
        // A plan may wait for the network; dropped, it ends with what it has started.
        tokio::select! {
            plan = solver::plan(&self.problem) => plan.map_err(|failure| step_error(&self.problem, failure)),
            () = interrupt.cancel.cancelled() => Err(BuildError::Cancelled),
        }
    }

    /// Executes a plan to its end.
    async fn attempt(&self, plan: Plan<Value>, interrupt: &Interrupt) -> Result<Finished, BuildError> {
        let epoch = self.lowered.iter().find_map(|(_, lowered)| lowered.epoch);
        let variants = Variant::of_request(&self.request, epoch);
        let tasks = Arc::new(self.layer_tasks(&plan, &variants));
        let mut observer = self.observer(&variants, &tasks);
        let limits = solver::Limits {
            jobs: self.request.jobs,
            cancel: interrupt.cancel.clone(),
        };
        let solution = solver::execute(&self.problem, plan, limits, &mut observer).await;
        let solution = solution.map_err(|failure| step_error(&self.problem, failure))?;
        self.remember_contexts();
        tokio::select! {
            finished = self.finish(&solution, &variants, &tasks) => finished,
            () = interrupt.cancel.cancelled() => Err(BuildError::Cancelled),
        }
    }

    fn observer(&self, variants: &[Variant], tasks: &Arc<LayerTasks>) -> BuildObserver {
        let layers = self
            .lowered
            .iter()
            .flat_map(|(_, lowered)| &lowered.history)
            .filter_map(|entry| entry.layer);
        let sources = self.problem.graph.iter().filter(|vertex| vertex.op.is_source());
        let caches = self.request.cache_to.iter().filter_map(CacheTo::options);
        let cached = caches.filter(|options| options.mode == Mode::Max);
        BuildObserver {
            progress: self.progress.clone(),
            steps: self.problem.evaluator.steps.clone(),
            layers: layers.collect::<HashSet<_>>(),
            sources: sources.map(|vertex| vertex.id).collect(),
            cached: cached
                .map(|options| cache_export::format(options, &self.request, variants))
                .collect(),
            tasks: Arc::clone(tasks),
        }
    }

    /// Keeps what was digested of contexts.
    fn remember_contexts(&self) {
        let contexts = self.problem.evaluator.contexts.values();
        let remembered = contexts.map(|context| context.remembered.save());
        for error in remembered.filter_map(Result::err) {
            self.progress
                .warn(Diagnostic::warning("the digests of context files could not be kept").because(&error));
        }
    }

    /// Brings the result where it is wanted, and then what the steps gave to caches.
    async fn finish(
        &self,
        solution: &Solution<Value>,
        variants: &[Variant],
        tasks: &LayerTasks,
    ) -> Result<Finished, BuildError> {
        let records = if self.request.cache_to.is_empty() {
            Vec::new()
        } else {
            records::gather(&self.problem, solution, self.began).await
        };
        let inline = self.request.cache_to.contains(&CacheTo::Inline).then_some(Inline {
            graph: &self.problem.graph,
            records: &records,
        });
        let finish = finish::Finish {
            request: &self.request,
            services: &self.services,
            progress: &self.progress,
            images: &self.images,
            variants,
            tasks,
            ops: &self.problem.evaluator,
            inline,
        };
        let value = |vertex| solution.targets.get(&vertex).map(|solved| solved.value.clone());
        let finished = finish.run(&self.lowered, value).await?;
        let exports = CacheExports {
            request: &self.request,
            services: &self.services,
            progress: &self.progress,
            variants,
            tasks,
        };
        exports.run(&records).await?;
        Ok(finished)
    }

    fn layer_tasks(&self, plan: &Plan<Value>, variants: &[Variant]) -> LayerTasks {
        let mut formats: Vec<(LayerFormat, Vec<Reference>)> = Vec::new();
        for variant in variants {
            // What is all in the cache is most likely in the registry as well: then the manifest is asked for first.
            let pushed_early = variant.is_pushed() && !plan.is_complete();
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
        let shipper = Shipper {
            packer: self.services.packer(),
            imports: Arc::clone(&self.imports),
            client: self.services.client.clone(),
        };
        LayerTasks::new(shipper, formats)
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.plan.display(&self.build.problem.graph).fmt(f)
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
            contexts.insert(name, LocalContext::open(&directory.path, ignored, &memory)?);
        }
    }
    Ok(contexts)
}

fn step_error(problem: &Problem<Ops>, failure: solver::Failure<crate::ops::OpError>) -> BuildError {
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
