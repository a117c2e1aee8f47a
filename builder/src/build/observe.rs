//! Between the solver and everything that hears of it: the display, and the layers that can be packed early.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use super::layers::LayerTasks;
use super::recording::Recording;
use crate::cache::{CacheError, Change};
use crate::diagnostic::Diagnostic;
use crate::graph::VertexId;
use crate::image::LayerFormat;
use crate::op::key::CacheKey;
use crate::ops::{Ops, Value};
use crate::progress::{Progress, StepId, Stream};
use crate::solver::{MissReason, Observer};

/// Hears of vertices while a plan is executed.
pub(super) struct BuildObserver {
    pub(super) progress: Progress,
    /// The displayed steps.
    pub(super) steps: HashMap<VertexId, StepId>,
    /// The vertices whose changes are layers of a wanted image.
    pub(super) layers: HashSet<VertexId>,
    /// The vertices that stand for something outside.
    pub(super) sources: HashSet<VertexId>,
    /// In which formats caches want the layers of every step.
    pub(super) cached: Vec<LayerFormat>,
    /// Where those are packed.
    pub(super) tasks: Arc<LayerTasks>,
    /// Who holds what was digested for the keys of steps.
    pub(super) ops: Arc<Ops>,
    /// What is kept of the steps.
    pub(super) recording: Recording,
}

impl BuildObserver {
    fn step(&self, vertex: VertexId) -> Option<StepId> {
        self.steps.get(&vertex).copied()
    }
}

impl Observer<Value> for BuildObserver {
    fn hit(&mut self, vertex: VertexId, _key: CacheKey) {
        self.recording.hit(vertex);
        self.ops.forget_selected(vertex);
        if let Some(step) = self.step(vertex) {
            self.progress.cached(step);
        }
    }

    fn waits(&mut self, vertex: VertexId) {
        if let Some(step) = self.step(vertex) {
            self.progress.started(step);
            let notice = "waiting for another build, which is doing this step\n";
            self.progress.log(step, Stream::Stderr, notice.as_bytes().into());
        }
    }

    fn started(&mut self, vertex: VertexId, reason: &MissReason, changes: &[Change]) {
        self.recording.started(vertex, reason, changes);
        if let Some(step) = self.step(vertex) {
            self.progress.started(step);
        }
    }

    fn completed(&mut self, vertex: VertexId, took: Duration) {
        self.recording.completed(vertex, took);
        if let Some(step) = self.step(vertex) {
            self.progress.completed(step, None);
        }
    }

    fn failed(&mut self, vertex: VertexId, error: &(dyn Error + 'static)) {
        self.recording.failed(vertex);
        if let Some(step) = self.step(vertex) {
            self.progress.completed(step, Some(error.to_string()));
        }
    }

    fn cancelled(&mut self, vertex: VertexId) {
        if let Some(step) = self.step(vertex) {
            self.progress.completed(step, Some("cancelled".to_owned()));
        }
    }

    fn ready(&mut self, vertex: VertexId, value: &Value, _key: CacheKey) {
        let Value::Files(files) = value else { return };
        for layer in files.layers.iter() {
            if self.layers.contains(&vertex) {
                self.tasks.begin(layer);
            }
            // Layers of sources are of no cache.
            for format in self.cached.iter().filter(|_| !self.sources.contains(&vertex)) {
                self.tasks.begin_packing(layer, *format);
            }
        }
    }

    fn not_saved(&mut self, _vertex: VertexId, error: &CacheError) {
        let warning = Diagnostic::warning("a result could not be saved: the next build will make it again");
        self.progress.warn(warning.because(error));
    }
}
