//! The two forms of the provenance predicate, with BuildKit's extensions.
//!
//! The build type is BuildKit's: it names the meaning of the parameters, which is the one that BuildKit's documentation
//! (`slsa-definitions.md`) gives them, not who built. That is told by `builder.id`, if the user names somebody, and by
//! croze's version beside it where the form has a place for it.

mod v02;
mod v1;

use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

use super::{Detail, Provenance, SlsaVersion};

/// Returns the type of a version's predicate.
pub fn predicate_type(version: SlsaVersion) -> &'static str {
    match version {
        SlsaVersion::V02 => v02::PREDICATE,
        SlsaVersion::V1 => v1::PREDICATE,
    }
}

/// Returns provenance in the form of a version.
///
/// # Errors
/// Only if a value cannot be written as JSON.
pub fn predicate(provenance: &Provenance, version: SlsaVersion) -> Result<Value, serde_json::Error> {
    match version {
        SlsaVersion::V02 => serde_json::to_value(v02::Predicate::of(provenance)),
        SlsaVersion::V1 => serde_json::to_value(v1::Predicate::of(provenance)),
    }
}

/// Leaves out of a predicate what `docker buildx` leaves out of its metadata file: the steps, and all about the run.
pub fn summary(predicate: &Value) -> Value {
    let mut summary = predicate.clone();
    for (inside, key) in [
        ("", "buildConfig"),
        ("", "metadata"),
        ("/buildDefinition/internalParameters", "buildConfig"),
        ("/runDetails", "metadata"),
    ] {
        if let Some(Value::Object(map)) = summary.pointer_mut(inside) {
            map.shift_remove(key);
        }
    }
    if summary.pointer("/builder/id").is_some_and(|id| id == "")
        && let Value::Object(map) = &mut summary
    {
        map.shift_remove("builder");
    }
    summary
}

/// What BuildKit tells beyond the specification.
#[derive(Serialize)]
struct Extension<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    vcs: &'a BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a Value>,
    #[serde(skip_serializing_if = "is_empty")]
    layers: Option<&'a Value>,
}

impl<'a> Extension<'a> {
    fn of(provenance: &'a Provenance) -> Self {
        let Provenance { vcs, detail, .. } = provenance;
        Self {
            vcs,
            source: detail.as_ref().map(|Detail { source, .. }| source),
            layers: detail.as_ref().map(|Detail { layers, .. }| layers),
        }
    }
}

fn is_empty(map: &Option<&Value>) -> bool {
    map.is_none_or(|map| map.as_object().is_none_or(serde_json::Map::is_empty))
}
