//! Provenance as facts, before they take the form of a version of the predicate.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{ConfigSource, Material, Parameters};

/// How a result was made.
#[derive(Clone, PartialEq, Debug)]
pub struct Provenance {
    /// Who built, as an address; empty if nobody says.
    pub builder_id: String,
    /// The platform that it was built on.
    pub builder_platform: String,
    /// Where the Dockerfile comes from.
    pub source: ConfigSource,
    /// What was asked for.
    pub parameters: Parameters,
    /// Whether that is everything that was asked for.
    pub all_parameters: bool,
    /// What went into it.
    pub materials: Vec<Material>,
    /// Whether no step could use the network.
    pub offline: bool,
    /// Whether the same build always gives the same bytes, as whoever asked for the build says.
    pub reproducible: bool,
    /// This run of the build; `None` if nothing may depend on it.
    pub invocation: Option<Invocation>,
    /// Where the files of a local context come from, as its repository says and nobody has checked.
    pub vcs: BTreeMap<&'static str, String>,
    /// The steps; `None` if only the origins are told.
    pub detail: Option<Detail>,
}

/// One run of a build.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invocation {
    /// A name that no other run has.
    pub id: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// When the result was complete, RFC 3339.
    pub finished: String,
}

/// The steps of a build, in LLB's JSON.
#[derive(Clone, PartialEq, Debug)]
pub struct Detail {
    /// What the steps do, and on what.
    pub build_config: Value,
    /// The Dockerfile, and the lines of each step.
    pub source: Value,
    /// The layers that each step's result has, by step.
    pub layers: Value,
}

impl Provenance {
    /// Returns whether the materials are all there is: what comes from this machine has no address.
    pub(super) fn all_materials(&self) -> bool {
        self.parameters.locals.is_empty()
    }

    /// Returns whether nothing but the materials can have had a part in the result.
    pub(super) fn hermetic(&self) -> bool {
        self.all_materials() && self.offline
    }
}
