//! `--call=targets`: the stages that can be built.

use serde::Serialize;

use super::{Location, encoded};
use crate::dockerfile::Dockerfile;

/// The stages of a Dockerfile.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Targets {
    /// In the order of the file.
    pub targets: Vec<Target>,
    sources: [String; 1],
}

/// A stage.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Target {
    /// Its name; empty if it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Whether it is built if nothing is said.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
    /// What the comment `# name text` says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it is made from, as written.
    pub base: String,
    /// `--platform`, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Its `FROM`.
    pub location: Location,
}

/// Lists the stages.
pub fn targets(dockerfile: &Dockerfile) -> Targets {
    let count = dockerfile.stages.len();
    let targets = dockerfile.stages.iter().enumerate().map(|(index, stage)| Target {
        name: stage.name.as_ref().map_or(String::new(), |name| name.value.clone()),
        default: index + 1 == count,
        description: stage.comment.clone(),
        base: stage.base.value.clone(),
        platform: stage.platform.as_ref().map(|platform| platform.value.clone()),
        location: Location::of(&dockerfile.source, stage.span),
    });
    Targets {
        targets: targets.collect(),
        sources: [encoded(&dockerfile.source)],
    }
}
