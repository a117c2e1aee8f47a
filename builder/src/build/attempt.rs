//! Carrying out a plan: from the first step that runs to the caches that hear of it.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use registry::oci::Digest;

use super::attest::Attester;
use super::cache_export::{self, CacheExports};
use super::finish::Finish;
use super::inline_cache::Inline;
use super::layers::{LayerTasks, Shipper};
use super::observe::BuildObserver;
use super::recording::Recording;
use super::routes::routes;
use super::variant::Variant;
use super::writing::Writing;
use super::{Build, BuildError, Finished, Interrupt, records, step_error};
use crate::diagnostic::Diagnostic;
use crate::graph::VertexId;
use crate::op::Op;
use crate::op::key::Define as _;
use crate::ops::{OpError, Value};
use crate::remote_cache::{CacheTo, Mode};
use crate::solver::{self, Decision, Plan, Planned, Solution};

/// How long an interrupted build waits for those who write its files.
const PATIENCE: Duration = Duration::from_secs(5);

impl Build {
    /// Plans: nothing runs.
    pub(super) async fn plan(&self, interrupt: &Interrupt) -> Result<Plan<Value>, BuildError> {
        // A plan may wait for the network; dropped, it ends with what it has started.
        tokio::select! {
            plan = solver::plan(&self.problem) => plan.map_err(|failure| step_error(&self.problem, failure)),
            () = interrupt.cancel.cancelled() => Err(BuildError::Cancelled),
        }
    }

    /// Executes a plan to its end.
    pub(super) async fn attempt(&self, plan: Plan<Value>, interrupt: &Interrupt) -> Result<Finished, BuildError> {
        self.needs_no_missing_sandbox(&plan)?;
        let variants = Variant::of_request(&self.request, self.epoch());
        let runs =
            |(vertex, planned): (VertexId, &Planned)| matches!(planned.decision, Decision::Run(_)).then_some(vertex);
        self.problem
            .evaluator
            .forget_selected_but(&plan.iter().filter_map(runs).collect());
        let tasks = Arc::new(self.layer_tasks(&plan, &variants));
        let recording = Recording::of_plan(&self.problem.graph, &plan, &self.problem.evaluator.steps);
        let mut observer = self.observer(&variants, &tasks, recording);
        let limits = solver::Limits {
            jobs: self.request.jobs,
            cancel: interrupt.cancel.clone(),
        };
        let solution = solver::execute(&self.problem, plan, limits, &mut observer).await;
        *self.recording.lock().unwrap_or_else(PoisonError::into_inner) = observer.recording;
        let solution = solution.map_err(|failure| step_error(&self.problem, failure))?;
        self.remember_contexts();
        let (writing, written) = Writing::until(&interrupt.cancel);
        tokio::select! {
            finished = self.finish(&solution, &variants, &tasks, writing) => return finished,
            () = interrupt.cancel.cancelled() => {}
        }
        // Whoever writes a file removes what there is of it, unless nobody takes what is written; then the next build does.
        tokio::select! {
            () = written.all() => {}
            () = interrupt.kill.cancelled() => {}
            () = tokio::time::sleep(PATIENCE) => {}
        }
        Err(BuildError::Cancelled)
    }

    /// Removes the blobs that were found damaged in this build; returns whether there were any.
    pub(super) async fn evict_damaged(&self) -> bool {
        let content = self.services.content.clone();
        let evicting = tokio::task::spawn_blocking(move || {
            let suspects = content.take_damaged().into_iter();
            // Not those that somebody only has a wrong idea of.
            let damaged = suspects.filter(|blob| content.verify(*blob).is_err_and(|error| error.is_damage()));
            let evicted = damaged.filter(|blob| matches!(content.remove(*blob), Ok(true)));
            let evicted: Vec<Digest> = evicted.collect();
            content.take_damaged();
            evicted
        });
        let evicted = evicting.await.unwrap_or_default();
        for blob in &evicted {
            let warning = format!("blob `{blob}` of the store was damaged and is made or fetched again");
            self.progress.warn(Diagnostic::warning(warning));
        }
        !evicted.is_empty()
    }

    /// Returns `SOURCE_DATE_EPOCH`.
    fn epoch(&self) -> Option<i64> {
        self.lowered.iter().find_map(|(_, lowered)| lowered.epoch)
    }

    fn observer(&self, variants: &[Variant], tasks: &Arc<LayerTasks>, recording: Recording) -> BuildObserver {
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
            ops: Arc::clone(&self.problem.evaluator),
            recording,
        }
    }

    /// Keeps what was digested of contexts.
    fn remember_contexts(&self) {
        let contexts = self.problem.evaluator.contexts.values();
        let remembered = contexts.map(|context| context.remembered.save(self.services.scratch.path()));
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
        writing: Writing,
    ) -> Result<Finished, BuildError> {
        let records = if self.request.cache_to.is_empty() {
            Vec::new()
        } else {
            records::gather(&self.problem, solution, self.services.started).await
        };
        let inline = self.request.cache_to.contains(&CacheTo::Inline).then_some(Inline {
            graph: &self.problem.graph,
            records: &records,
        });
        let fetched = &self.problem.evaluator.revisions;
        let attester = Attester {
            request: &self.request,
            services: &self.services,
            images: &self.images,
            graph: &self.problem.graph,
            fetched: fetched.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            checked_out: &self.checked_out,
        };
        let finish = Finish {
            attester: &attester,
            request: &self.request,
            services: &self.services,
            progress: &self.progress,
            images: &self.images,
            variants,
            epoch: self.epoch(),
            tasks,
            ops: &self.problem.evaluator,
            writing,
            inline,
        };
        let value = |vertex| solution.targets.get(&vertex).map(|solved| solved.value.clone());
        let finished = finish.run(&self.lowered, &self.scans, value).await?;
        let exports = CacheExports {
            request: &self.request,
            services: &self.services,
            progress: &self.progress,
            variants,
            tasks,
            problem: &self.problem,
        };
        exports.run(&records).await?;
        Ok(finished)
    }

    /// Fails if a step has to run and none can, before any other work is done in vain.
    fn needs_no_missing_sandbox(&self, plan: &Plan<Value>) -> Result<(), BuildError> {
        if self.services.sandbox.confinement().is_some() {
            return Ok(());
        }
        let runs = plan.iter().filter_map(|(vertex, planned)| {
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

    fn layer_tasks(&self, plan: &Plan<Value>, variants: &[Variant]) -> LayerTasks {
        let (packer, imports) = (self.services.packer(), Arc::clone(&self.imports));
        let shipper = Shipper::new(packer, imports, self.services.client.clone());
        LayerTasks::new(shipper, routes(&self.request, variants, plan.is_complete()))
    }
}
