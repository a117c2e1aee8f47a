//! What the steps of a build have done, for its history.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::cache::Change;
use crate::graph::{Graph, VertexId};
use crate::history::{Step, StepResult};
use crate::op::Op;
use crate::op::key::Define as _;
use crate::ops::Value;
use crate::progress::StepId;
use crate::solver::{Decision, MissReason, Plan};

/// The steps of one build, as far as they have come.
#[derive(Clone, Debug, Default)]
pub(super) struct Recording {
    steps: BTreeMap<VertexId, Step>,
    positions: HashMap<VertexId, usize>,
}

impl Recording {
    /// Begins with what is planned.
    pub(super) fn of_plan(graph: &Graph<Op>, plan: &Plan<Value>, logs: &HashMap<VertexId, StepId>) -> Self {
        let mut recording = Self::default();
        for (id, planned) in plan.iter() {
            let vertex = graph.vertex(id);
            recording.positions.insert(id, recording.steps.len());
            let inputs = vertex
                .inputs
                .iter()
                .filter_map(|input| recording.positions.get(input).copied());
            let (result, reason) = match &planned.decision {
                Decision::Source => (StepResult::Source, None),
                Decision::Hit => (StepResult::Hit, None),
                Decision::Unneeded { cached: true } if !vertex.op.is_source() => (StepResult::Hit, None),
                Decision::Unneeded { .. } => (StepResult::Unneeded, None),
                Decision::Run(reason) => (StepResult::NotReached, Some(reason.to_string())),
            };
            let mut step = Step {
                name: vertex.meta.name.clone(),
                stage: vertex.meta.stage.clone(),
                inputs: inputs.collect(),
                result,
                took_ms: None,
                reason,
                changes: Vec::new(),
                more_changes: 0,
                log: logs.get(&id).map(|step| step.0),
            };
            step.set_changes(&planned.changes);
            recording.steps.insert(id, step);
        }
        recording
    }

    /// Returns the steps, inputs first.
    pub(super) fn steps(&self) -> Vec<Step> {
        self.steps.values().cloned().collect()
    }

    pub(super) fn hit(&mut self, vertex: VertexId) {
        self.set(vertex, |step| {
            step.result = StepResult::Hit;
            step.reason = None;
            step.set_changes(&[]);
        });
    }

    pub(super) fn started(&mut self, vertex: VertexId, reason: &MissReason, changes: &[Change]) {
        self.set(vertex, |step| {
            step.result = StepResult::Cancelled;
            step.reason = Some(reason.to_string());
            step.set_changes(changes);
        });
    }

    pub(super) fn completed(&mut self, vertex: VertexId, took: Duration) {
        self.set(vertex, |step| {
            step.result = StepResult::Ran;
            step.took_ms = Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        });
    }

    pub(super) fn failed(&mut self, vertex: VertexId) {
        self.set(vertex, |step| step.result = StepResult::Failed);
    }

    fn set(&mut self, vertex: VertexId, change: impl FnOnce(&mut Step)) {
        if let Some(step) = self.steps.get_mut(&vertex) {
            change(step);
        }
    }
}
