//! The steps of a build, numbered, as BuildKit lists those of an LLB definition: inputs first, and at the end one that
//! does nothing but say what the result is.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::operation::operation;
use crate::graph::{Graph, Vertex, VertexId};
use crate::op::Op;

/// The steps that a result is made by.
#[derive(Clone, Debug)]
pub struct Steps<'a> {
    graph: &'a Graph<Op>,
    numbers: BTreeMap<VertexId, usize>,
    result: Option<VertexId>,
}

impl<'a> Steps<'a> {
    /// Numbers the steps of a result; there are none if it is empty.
    pub fn new(graph: &'a Graph<Op>, result: Option<VertexId>) -> Self {
        let vertices = graph.ancestors(result.as_slice());
        Self {
            graph,
            numbers: vertices.into_iter().zip(0..).collect(),
            result,
        }
    }

    /// Returns the vertex of each step, in order.
    pub fn vertices(&self) -> impl Iterator<Item = &'a Vertex<Op>> {
        self.numbers.keys().map(|id| self.graph.vertex(*id))
    }

    /// Returns what a step is called: `step0`.
    pub(super) fn id(&self, vertex: VertexId) -> String {
        format!("step{}", self.numbers.get(&vertex).copied().unwrap_or_default())
    }

    /// Returns what the steps do, and on what: `buildConfig`.
    pub fn build_config(&self) -> Value {
        let Some(result) = self.result else { return json!({}) };
        let mut definition: Vec<Value> = self.vertices().map(|vertex| self.step(vertex)).collect();
        let last = json!({
            "id": format!("step{}", definition.len()),
            "op": {"Op": null},
            "inputs": [self.output(result)],
        });
        definition.push(last);
        json!({ "llbDefinition": definition })
    }

    fn step(&self, vertex: &Vertex<Op>) -> Value {
        let mut step = Map::new();
        step.insert("id".to_owned(), self.id(vertex.id).into());
        step.insert("op".to_owned(), operation(&vertex.op));
        if !vertex.inputs.is_empty() {
            let inputs = vertex.inputs.iter().map(|input| Value::from(self.output(*input)));
            step.insert("inputs".to_owned(), inputs.collect());
        }
        step.into()
    }

    /// Returns what the result of a step is called; there is one of each.
    pub(super) fn output(&self, vertex: VertexId) -> String {
        format!("{}:0", self.id(vertex))
    }
}
