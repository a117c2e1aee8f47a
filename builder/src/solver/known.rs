//! What is known of the vertices so far: canonical keys and the content that was read.

use std::collections::{BTreeSet, HashMap};

use registry::oci::Digest;

use crate::cache::{Lineage, Reading};
use crate::graph::{Vertex, VertexId};
use crate::op::key::{CacheKey, Define};

/// The canonical key of a vertex.
#[derive(Clone, Copy, Debug)]
pub(super) enum Identity {
    /// It means the same in every build.
    Named(CacheKey),
    /// The vertex is a source that only its content identifies; the key is of this build alone.
    Nameless(CacheKey),
}

impl Identity {
    pub(super) fn key(self) -> CacheKey {
        match self {
            Self::Named(key) | Self::Nameless(key) => key,
        }
    }
}

/// Canonical keys and on whose word they rely, and digests of content by its reader and the reader's input.
#[derive(Clone, Default, Debug)]
pub(super) struct Known {
    identities: HashMap<VertexId, Identity>,
    reliances: HashMap<VertexId, BTreeSet<String>>,
    contents: HashMap<(VertexId, usize), Digest>,
}

impl Known {
    /// Notes the canonical key of a vertex, in place of an expected one.
    pub(super) fn identify(&mut self, vertex: VertexId, identity: Identity) {
        self.identities.insert(vertex, identity);
    }

    /// Notes on the word of which caches the key of a vertex relies, in place of those that were expected.
    pub(super) fn rely(&mut self, vertex: VertexId, on: BTreeSet<String>) {
        self.reliances.insert(vertex, on);
    }

    /// Returns on the word of which caches the key of a vertex relies.
    pub(super) fn relies_on(&self, vertex: VertexId) -> BTreeSet<String> {
        self.reliances.get(&vertex).cloned().unwrap_or_default()
    }

    /// Returns on the word of which caches those keys rely that the keys of a vertex are made of.
    pub(super) fn inherited<O>(&self, vertex: &Vertex<O>) -> BTreeSet<String> {
        let inputs = vertex.inputs.iter().filter_map(|input| self.reliances.get(input));
        inputs.flatten().cloned().collect()
    }

    /// Notes the content that `reader` reads of its input number `input`.
    pub(super) fn read(&mut self, reader: VertexId, input: usize, content: Digest) {
        self.contents.insert((reader, input), content);
    }

    /// Returns whether the canonical key of a vertex is known.
    pub(super) fn is_identified(&self, vertex: VertexId) -> bool {
        self.identities.contains_key(&vertex)
    }

    /// Returns the canonical key of a vertex that was identified.
    pub(super) fn identity(&self, vertex: VertexId) -> Identity {
        self.identities[&vertex]
    }

    /// Returns what a vertex is made from, as far as it is known; its inputs must be identified.
    pub(super) fn lineage<O: Define>(&self, vertex: &Vertex<O>) -> Lineage {
        let inputs = vertex.inputs.iter().enumerate().map(|(position, &input)| {
            let identity = self.identity(input);
            if !vertex.op.reads_by_content(position) {
                return Reading::Whole { key: identity.key() };
            }
            match (self.contents.get(&(vertex.id, position)), identity) {
                (None, _) => Reading::Unread { key: identity.key() },
                (Some(&content), Identity::Named(key)) => Reading::Files {
                    key: Some(key),
                    content,
                },
                (Some(&content), Identity::Nameless(_)) => Reading::Files { key: None, content },
            }
        });
        Lineage {
            operation: vertex.operation,
            inputs: inputs.collect(),
        }
    }

    /// Returns the inputs that a vertex reads by content and whose content is not known.
    pub(super) fn unread<O: Define>(&self, vertex: &Vertex<O>) -> Vec<(usize, VertexId)> {
        let inputs = vertex.inputs.iter().copied().enumerate();
        inputs
            .filter(|&(position, _)| {
                vertex.op.reads_by_content(position) && !self.contents.contains_key(&(vertex.id, position))
            })
            .collect()
    }
}
