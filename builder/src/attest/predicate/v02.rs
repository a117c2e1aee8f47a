//! SLSA provenance v0.2 (slsa.dev/spec/v0.2/provenance).

use serde::Serialize;
use serde_json::Value;

use super::Extension;
use crate::attest::{DigestSet, Material, Parameters, Provenance};

pub(super) const PREDICATE: &str = "https://slsa.dev/provenance/v0.2";

const BUILD_TYPE: &str = "https://mobyproject.org/buildkit@v1";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Predicate<'a> {
    builder: Builder<'a>,
    build_type: &'static str,
    #[serde(skip_serializing_if = "<[Material]>::is_empty")]
    materials: &'a [Material],
    invocation: Invocation<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_config: Option<&'a Value>,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Builder<'a> {
    id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation<'a> {
    config_source: Source<'a>,
    parameters: &'a Parameters,
    environment: Environment<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Source<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a DigestSet>,
    entry_point: &'a str,
}

#[derive(Serialize)]
struct Environment<'a> {
    platform: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(rename = "buildInvocationID", skip_serializing_if = "Option::is_none")]
    build_invocation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_started_on: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_finished_on: Option<&'a str>,
    completeness: Completeness,
    reproducible: bool,
    #[serde(rename = "https://mobyproject.org/buildkit@v1#metadata")]
    extension: Extension<'a>,
    #[serde(
        rename = "https://mobyproject.org/buildkit@v1#hermetic",
        skip_serializing_if = "std::ops::Not::not"
    )]
    hermetic: bool,
}

#[derive(Serialize)]
struct Completeness {
    parameters: bool,
    environment: bool,
    materials: bool,
}

impl<'a> Predicate<'a> {
    pub(super) fn of(provenance: &'a Provenance) -> Self {
        let context = provenance.source.context.as_ref();
        let run = provenance.invocation.as_ref();
        Self {
            builder: Builder {
                id: &provenance.builder_id,
            },
            build_type: BUILD_TYPE,
            materials: &provenance.materials,
            invocation: Invocation {
                config_source: Source {
                    uri: context.map(|context| context.uri.as_str()),
                    digest: context.map(|context| &context.digest),
                    entry_point: &provenance.source.path,
                },
                parameters: &provenance.parameters,
                environment: Environment {
                    platform: &provenance.builder_platform,
                },
            },
            build_config: provenance.detail.as_ref().map(|detail| &detail.build_config),
            metadata: Metadata {
                build_invocation_id: run.map(|run| run.id.as_str()),
                build_started_on: run.map(|run| run.started.as_str()),
                build_finished_on: run.map(|run| run.finished.as_str()),
                completeness: Completeness {
                    parameters: provenance.all_parameters,
                    // The platform is all there is of it that can matter.
                    environment: true,
                    materials: provenance.all_materials(),
                },
                reproducible: provenance.reproducible,
                extension: Extension::of(provenance),
                hermetic: provenance.hermetic(),
            },
        }
    }
}
