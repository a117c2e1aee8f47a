//! Records: what a step gave, and what it was made from.

use std::collections::BTreeSet;

use registry::oci::Digest;
use serde::{Deserialize, Serialize};

use super::Aspects;
use crate::op::key::CacheKey;

/// What the cache stores under a key.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The canonical key: the one that the value was first saved under. Other keys are links to it.
    pub key: CacheKey,
    /// What the evaluator needs to find the value again; opaque to cache and solver.
    pub payload: serde_json::Value,
    /// When the value was made, as RFC 3339 in UTC.
    pub created: String,
    /// What the value was made from.
    pub lineage: Lineage,
    /// The same in words for people; empty if another machine made it.
    #[serde(default)]
    pub aspects: Aspects,
    /// The caches of other machines without whose word nothing here would say this: the one that it came from, and those
    /// that what it was made from came from. It serves only builds that import from all of them ([`super::BelievedCache`]).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub relies_on: BTreeSet<String>,
}

impl Record {
    /// Returns whether it names no value, and only leads to the keys of what was made from it.
    pub fn is_bare(&self) -> bool {
        self.payload.is_null()
    }
}

/// What a value was made from: everything that its keys are computed of.
///
/// Kept in the record so that a later miss can be explained by the difference.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lineage {
    /// The digest of the operation alone.
    pub operation: Digest,
    /// The inputs in order.
    pub inputs: Vec<Reading>,
}

impl Lineage {
    /// Returns whether all files that the operation reads of its inputs have been read.
    pub fn is_complete(&self) -> bool {
        !self.inputs.iter().any(|input| matches!(input, Reading::Unread { .. }))
    }
}

/// How an input was read, and what was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "read", rename_all = "snake_case")]
pub enum Reading {
    /// As a whole: its canonical key stands for it.
    Whole {
        /// The input's canonical key.
        key: CacheKey,
    },
    /// Some of its files, whose digest is not known yet.
    Unread {
        /// The input's canonical key.
        key: CacheKey,
    },
    /// Some of its files.
    Files {
        /// The input's canonical key; `None` if it is a source that has no identity but its content.
        key: Option<CacheKey>,
        /// The digest of the files.
        content: Digest,
    },
}
