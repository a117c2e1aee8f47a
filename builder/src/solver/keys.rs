//! How the keys of a vertex are computed; the module's documentation has the table.

use registry::oci::Digest;

use crate::cache::{Lineage, Reading};
use crate::graph::VertexId;
use crate::op::key::{CacheKey, KeyHasher};

/// What stands for an input in a key.
enum Part {
    Key(CacheKey),
    Content(Digest),
}

/// Returns the key of what was asked for.
pub(super) fn definition_key(lineage: &Lineage) -> CacheKey {
    let parts = lineage.inputs.iter().map(|input| match *input {
        Reading::Whole { key } | Reading::Unread { key } | Reading::Files { key: Some(key), .. } => Part::Key(key),
        Reading::Files { key: None, content } => Part::Content(content),
    });
    vertex_key(lineage.operation, &parts.collect::<Vec<_>>())
}

/// Returns the key of what would be read; `None` as long as some of it is not known, or if it is no other key
/// than that of the definition.
pub(super) fn content_key(lineage: &Lineage) -> Option<CacheKey> {
    if !lineage.is_complete() {
        return None;
    }
    let parts = lineage.inputs.iter().map(|input| match *input {
        Reading::Whole { key } | Reading::Unread { key } => Part::Key(key),
        Reading::Files { content, .. } => Part::Content(content),
    });
    let key = vertex_key(lineage.operation, &parts.collect::<Vec<_>>());
    (key != definition_key(lineage)).then_some(key)
}

fn vertex_key(operation: Digest, inputs: &[Part]) -> CacheKey {
    let mut hasher = KeyHasher::new("vertex/1");
    hasher.digest(operation).list(inputs, |hasher, input| {
        match input {
            Part::Key(key) => hasher.choice("key").digest(key.digest()),
            Part::Content(content) => hasher.choice("content").digest(*content),
        };
    });
    hasher.finish()
}

/// Returns the canonical key of a pinned source.
pub(super) fn source_key(operation: Digest, identity: Digest) -> CacheKey {
    let mut hasher = KeyHasher::new("source/1");
    hasher.digest(operation).digest(identity);
    hasher.finish()
}

/// Returns the key of a source without identity, for those who use it whole: nothing outside this build has it.
pub(super) fn nameless_key(operation: Digest, build: &str, vertex: VertexId) -> CacheKey {
    let mut hasher = KeyHasher::new("nameless/1");
    hasher.digest(operation).text(build).number(vertex.index() as u64);
    hasher.finish()
}

/// Returns the canonical key of a value that this build makes without asking the cache.
pub(super) fn forced_key(definition: CacheKey, build: &str) -> CacheKey {
    let mut hasher = KeyHasher::new("forced/1");
    hasher.digest(definition.digest()).text(build);
    hasher.finish()
}
