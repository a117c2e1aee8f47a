//! The displayed steps of a graph: one for each vertex, under its own name.

use std::collections::HashMap;

use registry::oci::Digest;

use crate::graph::{Graph, VertexId};
use crate::op::Op;
use crate::progress::{Progress, StepId};

/// Declares the steps that `targets` need, in graph order; returns the step of each vertex by its position.
///
/// A vertex that nothing needs gets the number of no step: it is never shown.
pub(super) fn declare(progress: &Progress, graph: &Graph<Op>, targets: &[VertexId]) -> HashMap<VertexId, StepId> {
    let mut steps: HashMap<VertexId, StepId> = HashMap::new();
    for id in graph.ancestors(targets) {
        let vertex = graph.vertex(id);
        // A merge only stacks what a copy has made; a context is read by the step that copies from it.
        if matches!(vertex.op, Op::Merge | Op::Local(_)) {
            continue;
        }
        let digest = Digest::of(format!("{id} {}", vertex.meta.name).as_bytes());
        let inputs = vertex
            .inputs
            .iter()
            .filter_map(|input| steps.get(input).copied())
            .collect();
        steps.insert(id, progress.declare(vertex.meta.name.clone(), digest, inputs));
    }
    steps
}
