//! Why a vertex has to run: the difference between it and what was last made in its place.

use super::{Input, MissReason};
use crate::cache::{Aspects, Change, Lineage, Reading, Record};
use crate::graph::{Graph, Vertex, VertexId};
use crate::op::key::Define;

/// Compares a vertex that is not in the cache with the last record of its place.
///
/// `runs` says whether an input has to run (or has run). What the user did comes before what follows from it,
/// and what surely matters before what may turn out not to.
pub(super) fn miss_reason<O: Define>(
    graph: &Graph<O>,
    vertex: &Vertex<O>,
    lineage: &Lineage,
    last: Option<&Record>,
    runs: impl Fn(VertexId) -> bool,
) -> MissReason {
    let Some(record) = last else {
        return MissReason::NeverBuilt;
    };
    let last = &record.lineage;
    let input = |position: usize| Input {
        position,
        name: graph.vertex(vertex.inputs[position]).meta.name.clone(),
    };
    let readings = || lineage.inputs.iter().enumerate();
    let whole = |reading: &Reading| matches!(reading, Reading::Whole { .. });
    if let Some((position, _)) = readings().find(|&(i, reading)| whole(reading) && runs(vertex.inputs[i])) {
        return MissReason::InputRuns(input(position));
    }
    if lineage.operation != last.operation || lineage.inputs.len() != last.inputs.len() {
        return MissReason::DefinitionChanged;
    }
    let changed = |position: usize, reading: &Reading, last: &Reading| {
        let source = graph.vertex(vertex.inputs[position]).op.is_source();
        match (reading, last) {
            (Reading::Files { content, .. }, Reading::Files { content: last, .. }) => {
                (content != last).then(|| MissReason::ContentChanged(input(position)))
            }
            (Reading::Unread { .. }, _) if runs(vertex.inputs[position]) => None,
            _ if key(reading) == key(last) => None,
            _ if source => Some(MissReason::BaseChanged(input(position))),
            _ => Some(MissReason::InputChanged(input(position))),
        }
    };
    let mut pairs = readings().zip(&last.inputs);
    if let Some(reason) = pairs.find_map(|((position, reading), last)| changed(position, reading, last)) {
        return reason;
    }
    let awaited = readings().find(|(_, reading)| matches!(reading, Reading::Unread { .. }));
    match awaited {
        Some((position, _)) => MissReason::AwaitsContent(input(position)),
        None if record.is_bare() => MissReason::NeverBuilt,
        None => MissReason::Evicted,
    }
}

/// Returns what in particular has changed, as far as the reason has particulars.
pub(super) fn changes(reason: &MissReason, aspects: &Aspects, last: Option<&Aspects>) -> Vec<Change> {
    let Some(last) = last else {
        return Vec::new();
    };
    match reason {
        MissReason::DefinitionChanged => aspects.definition_changes(last),
        MissReason::ContentChanged(input) => aspects.file_changes(last, input.position),
        MissReason::BaseChanged(input) => aspects.source_changes(last, input.position),
        MissReason::Forced
        | MissReason::NeverBuilt
        | MissReason::InputChanged(_)
        | MissReason::InputRuns(_)
        | MissReason::AwaitsContent(_)
        | MissReason::Evicted => Vec::new(),
    }
}

fn key(reading: &Reading) -> Option<crate::op::key::CacheKey> {
    match *reading {
        Reading::Whole { key } | Reading::Unread { key } => Some(key),
        Reading::Files { key, .. } => key,
    }
}
