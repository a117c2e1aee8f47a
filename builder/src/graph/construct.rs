//! Adding vertices, equal ones once.

use std::collections::HashMap;

use registry::oci::Digest;

use super::{Graph, Meta, Vertex, VertexId};
use crate::op::key::Define;

/// A graph that still grows.
#[derive(Debug)]
pub struct GraphBuilder<O> {
    vertices: Vec<Vertex<O>>,
    /// Vertices by the digest of their operation, which narrows the search for an equal one.
    by_operation: HashMap<Digest, Vec<VertexId>>,
}

impl<O> Default for GraphBuilder<O> {
    fn default() -> Self {
        Self {
            vertices: Vec::new(),
            by_operation: HashMap::new(),
        }
    }
}

impl<O: Define + PartialEq> GraphBuilder<O> {
    /// Starts with no vertices.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a vertex, or returns the equal one that is there; that one keeps its own `meta`.
    ///
    /// Two vertices are equal if their inputs and *all* of their operations are, also what enters no key:
    /// a vertex that ignores the cache is not merged with one that asks it.
    ///
    /// # Panics
    /// If an input was not given by this builder: that is how cycles are kept out.
    pub fn add(&mut self, op: O, inputs: Vec<VertexId>, meta: Meta) -> VertexId {
        let id = VertexId(u32::try_from(self.vertices.len()).unwrap_or(u32::MAX));
        assert!(
            inputs.iter().all(|&input| input < id),
            "an input of `{}` is not in the graph",
            meta.name
        );
        let operation = op.operation();
        let alike = self.by_operation.entry(operation).or_default();
        let vertices = &self.vertices;
        let equal = |candidate: &&VertexId| {
            let candidate = &vertices[candidate.index()];
            candidate.inputs == inputs && candidate.op == op
        };
        if let Some(&equal) = alike.iter().find(equal) {
            return equal;
        }
        alike.push(id);
        self.vertices.push(Vertex {
            id,
            op,
            operation,
            inputs,
            meta,
        });
        id
    }

    /// Returns a vertex that was added.
    ///
    /// # Panics
    /// If the id was not given by this builder.
    pub fn vertex(&self, id: VertexId) -> &Vertex<O> {
        &self.vertices[id.index()]
    }

    /// Ends the changes.
    pub fn finish(self) -> Graph<O> {
        Graph {
            vertices: self.vertices,
        }
    }
}
