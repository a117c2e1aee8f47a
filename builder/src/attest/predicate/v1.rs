//! SLSA provenance v1 (slsa.dev/spec/v1.2/build-provenance).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::Extension;
use crate::attest::{DigestSet, Material, Parameters, Provenance};

pub(super) const PREDICATE: &str = "https://slsa.dev/provenance/v1";

const BUILD_TYPE: &str = "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Predicate<'a> {
    build_definition: BuildDefinition<'a>,
    run_details: RunDetails<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition<'a> {
    build_type: &'static str,
    external_parameters: ExternalParameters<'a>,
    internal_parameters: InternalParameters<'a>,
    #[serde(skip_serializing_if = "<[Material]>::is_empty")]
    resolved_dependencies: &'a [Material],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalParameters<'a> {
    config_source: Source<'a>,
    request: &'a Parameters,
}

#[derive(Serialize)]
struct Source<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a DigestSet>,
    path: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InternalParameters<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    build_config: Option<&'a Value>,
    builder_platform: &'a str,
}

#[derive(Serialize)]
struct RunDetails<'a> {
    builder: Builder<'a>,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Builder<'a> {
    id: &'a str,
    version: BTreeMap<&'static str, &'static str>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    #[serde(rename = "invocationId", skip_serializing_if = "Option::is_none")]
    invocation_id: Option<&'a str>,
    #[serde(rename = "startedOn", skip_serializing_if = "Option::is_none")]
    started_on: Option<&'a str>,
    #[serde(rename = "finishedOn", skip_serializing_if = "Option::is_none")]
    finished_on: Option<&'a str>,
    buildkit_metadata: Extension<'a>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    buildkit_hermetic: bool,
    buildkit_completeness: Completeness,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    buildkit_reproducible: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Completeness {
    request: bool,
    resolved_dependencies: bool,
}

impl<'a> Predicate<'a> {
    pub(super) fn of(provenance: &'a Provenance) -> Self {
        let context = provenance.source.context.as_ref();
        let run = provenance.invocation.as_ref();
        Self {
            build_definition: BuildDefinition {
                build_type: BUILD_TYPE,
                external_parameters: ExternalParameters {
                    config_source: Source {
                        uri: context.map(|context| context.uri.as_str()),
                        digest: context.map(|context| &context.digest),
                        path: &provenance.source.path,
                    },
                    request: &provenance.parameters,
                },
                internal_parameters: InternalParameters {
                    build_config: provenance.detail.as_ref().map(|detail| &detail.build_config),
                    builder_platform: &provenance.builder_platform,
                },
                resolved_dependencies: &provenance.materials,
            },
            run_details: RunDetails {
                builder: Builder {
                    id: &provenance.builder_id,
                    version: [("croze", env!("CARGO_PKG_VERSION"))].into(),
                },
                metadata: Metadata {
                    invocation_id: run.map(|run| run.id.as_str()),
                    started_on: run.map(|run| run.started.as_str()),
                    finished_on: run.map(|run| run.finished.as_str()),
                    buildkit_metadata: Extension::of(provenance),
                    buildkit_hermetic: provenance.hermetic(),
                    buildkit_completeness: Completeness {
                        request: provenance.all_parameters,
                        resolved_dependencies: provenance.all_materials(),
                    },
                    buildkit_reproducible: provenance.reproducible,
                },
            },
        }
    }
}
