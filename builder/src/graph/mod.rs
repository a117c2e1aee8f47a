//! The build as an immutable graph of operations, acyclic and without doubles by construction.
//!
//! A [`GraphBuilder`] accepts a vertex only if its inputs are in it already, so there can be no cycle and the
//! order of addition is a topological order. An operation that is added twice with the same inputs gives the
//! same [`VertexId`]: two stages that begin alike share their beginning. [`GraphBuilder::finish`] ends the
//! changes. The graph is generic over its operation, so that it and the solver can be tested on toys.

mod construct;
mod print;
#[cfg(test)]
mod tests;

pub use construct::GraphBuilder;

use std::collections::BTreeSet;
use std::fmt;

use registry::oci::Digest;

use crate::diagnostic::Span;

/// The place of a vertex in its graph; orders as the graph does, inputs first.
///
/// It is meaningful only to the graph that gave it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VertexId(u32);

impl VertexId {
    /// Returns the position in [`Graph::iter`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for VertexId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl fmt::Debug for VertexId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a vertex is called and where it comes from; none of it enters a key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Meta {
    /// What people see: `[build 2/5] RUN make`.
    pub name: String,
    /// The stage that it was first added for; with its position there, it tells what to compare a miss with.
    pub stage: String,
    /// The platform that it was first added for: a miss is compared with what was made for the same one. Empty if it does
    /// not matter.
    pub platform: String,
    /// The instruction that it was made from.
    pub origin: Option<Span>,
}

/// An operation in its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vertex<O> {
    /// Its place.
    pub id: VertexId,
    /// What it does.
    pub op: O,
    /// Digest of the operation alone: computed once, used in every key.
    pub operation: Digest,
    /// The vertices whose results it uses; the operation names them by position.
    pub inputs: Vec<VertexId>,
    /// Its name and origin.
    pub meta: Meta,
}

/// An immutable, acyclic graph of operations.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Graph<O> {
    vertices: Vec<Vertex<O>>,
}

impl<O> Graph<O> {
    /// Returns the vertex with this id.
    ///
    /// # Panics
    /// If the id is of another graph that is larger.
    pub fn vertex(&self, id: VertexId) -> &Vertex<O> {
        &self.vertices[id.index()]
    }

    /// Returns every vertex, inputs before their users.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Vertex<O>> + ExactSizeIterator {
        self.vertices.iter()
    }

    /// Returns the number of vertices.
    pub fn len(&self) -> usize {
        self.vertices.len()
    }

    /// Returns whether there is no vertex.
    pub fn is_empty(&self) -> bool {
        self.vertices.is_empty()
    }

    /// Returns `targets` and everything that they are made from, in topological order.
    pub fn ancestors(&self, targets: &[VertexId]) -> BTreeSet<VertexId> {
        let mut found = BTreeSet::new();
        let mut unvisited = targets.to_vec();
        while let Some(id) = unvisited.pop() {
            if found.insert(id) {
                unvisited.extend(&self.vertex(id).inputs);
            }
        }
        found
    }
}
