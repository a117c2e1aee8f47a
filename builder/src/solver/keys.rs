//! How the keys of a vertex are computed; the module's documentation has the table.

use registry::oci::Digest;

use crate::cache::{CacheStore, Lineage, Reading, Record};
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
    // A source without a key enters the definition key by its content, too.
    let differs = |input: &Reading| matches!(input, Reading::Files { key: Some(_), .. });
    if !lineage.is_complete() || !lineage.inputs.iter().any(differs) {
        return None;
    }
    let parts = lineage.inputs.iter().map(|input| match *input {
        Reading::Whole { key } | Reading::Unread { key } => Part::Key(key),
        Reading::Files { content, .. } => Part::Content(content),
    });
    Some(vertex_key(lineage.operation, &parts.collect::<Vec<_>>()))
}

/// Returns the keys that a value which was made from this is found by: that of its definition first.
pub fn keys_of(lineage: &Lineage) -> impl Iterator<Item = CacheKey> {
    [definition_key(lineage)].into_iter().chain(content_key(lineage))
}

/// Returns whether a record says of its canonical key what nobody here knows: it came from another machine, and is kept
/// under none but the keys of the vertex that it was asked for by.
pub(super) fn is_claimed(
    cache: &dyn CacheStore,
    record: &Record,
    definition: CacheKey,
    content: Option<CacheKey>,
) -> bool {
    let is_own = record.key == definition || Some(record.key) == content;
    !is_own && cache.lookup(record.key).as_ref() != Some(record)
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

/// Returns the name of what one run makes: no other run has it, not even one that makes the same value.
pub(super) fn run_key(canonical: CacheKey, build: &str) -> CacheKey {
    let mut hasher = KeyHasher::new("run-of/1");
    hasher.digest(canonical.digest()).text(build);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lineage() -> Lineage {
        let key = |name: &str| KeyHasher::new(name).finish();
        Lineage {
            operation: Digest::of(b"operation"),
            inputs: vec![
                Reading::Whole { key: key("base") },
                Reading::Files {
                    key: Some(key("build")),
                    content: Digest::of(b"files"),
                },
                Reading::Files {
                    key: None,
                    content: Digest::of(b"context"),
                },
            ],
        }
    }

    /// Whoever changes these empties every cache.
    #[test]
    fn the_keys_of_a_lineage_are_what_they_always_were() {
        let lineage = lineage();
        let source = source_key(Digest::of(b"operation"), Digest::of(b"identity"));
        assert_eq!(
            [Some(definition_key(&lineage)), content_key(&lineage), Some(source)].map(|key| key.map(|key| key.hex())),
            [
                "41c2a3c40d6cdd499ed9700ce4e32aec799cfa8542c9b96122d540a0ba108457",
                "e7103e9fd27ca04cdc1824d4b525ff9ba94e433eaebd409d070d063e8a23d0ed",
                "4f3fd48ef245510f449414cf4900d1bfda2f691a069327097923520b99a210fc",
            ]
            .map(|key| Some(key.to_owned()))
        );
    }

    #[test]
    fn a_content_key_waits_for_all_content_and_is_not_the_definition_key() {
        let mut unread = lineage();
        let key = KeyHasher::new("late").finish();
        unread.inputs.push(Reading::Unread { key });
        assert_eq!(content_key(&unread), None);
        let mut plain = lineage();
        plain.inputs.remove(1);
        assert_eq!(
            content_key(&plain),
            None,
            "a source without a key enters both by its content"
        );
    }

    #[test]
    fn content_cannot_pass_for_a_key() {
        let content = Digest::of(b"same");
        let files = |key| Lineage {
            operation: content,
            inputs: vec![Reading::Files { key, content }],
        };
        let mut hasher = KeyHasher::new("any");
        hasher.digest(content);
        let key = hasher.finish();
        let whole = Lineage {
            operation: content,
            inputs: vec![Reading::Whole { key }],
        };
        let as_content = Lineage {
            operation: content,
            inputs: vec![Reading::Files {
                key: None,
                content: key.digest(),
            }],
        };
        assert_ne!(definition_key(&whole), definition_key(&as_content));
        assert_eq!(definition_key(&files(Some(key))), definition_key(&whole));
    }
}
