//! What a build attests of its results: the facts are gathered here, their form is the business of [`crate::attest`].

use std::collections::{BTreeMap, HashMap};

use registry::oci::{Descriptor, Digest, Platform};

use super::finish::Part;
use super::variant::Variant;
use super::{BuildError, BuildRequest, Services};
use crate::attest::predicate::{predicate, predicate_type, summary};
use crate::attest::{
    Attestation, Detail, Invocation, LayersOf, Material, Mode, Parameters, Provenance, ProvenanceOptions, RequestArgs,
    Sources, Steps, Subject, attestation_manifest, chains, image_url, materials, read_bundle, source_map,
};
use crate::export::{AttestationManifest, PlatformImage};
use crate::fetch::{CheckedOut, Revision};
use crate::graph::{Graph, VertexId};
use crate::image::BaseImages;
use crate::op::{ImageOp, Network, Op};
use crate::ops::Value;

/// The name that the graph knows the main context by.
const MAIN_CONTEXT: &str = "context";

/// What the attestations of a build are made from.
pub(super) struct Attester<'a> {
    pub(super) request: &'a BuildRequest,
    pub(super) services: &'a Services,
    pub(super) images: &'a BaseImages,
    pub(super) graph: &'a Graph<Op>,
    /// Which versions of the sources on the network were found.
    pub(super) fetched: BTreeMap<VertexId, Revision>,
    /// What the repository of a local context says.
    pub(super) checked_out: &'a CheckedOut,
}

impl Attester<'_> {
    /// Returns what an SBOM generator found, as the value of its step has it.
    pub(super) async fn sboms(&self, scanned: Option<Value>) -> Result<Vec<Attestation>, BuildError> {
        let Some(Value::Files(files)) = scanned else {
            return Ok(Vec::new());
        };
        let Some(layer) = files.layers.last() else {
            return Ok(Vec::new());
        };
        let directory = self.services.snapshots.fs_dir(&layer.snapshot);
        let reading = tokio::task::spawn_blocking(move || read_bundle(&directory));
        Ok(reading.await.map_err(BuildError::panicked("reading of SBOMs"))??)
    }

    /// Returns all that is attested of a part: what is in it, then how it was made. `image` is what it has become, if
    /// that is an image.
    pub(super) fn attestations(
        &self,
        part: &Part<'_>,
        image: Option<&PlatformImage>,
    ) -> Result<Vec<Attestation>, BuildError> {
        let mut attestations = part.sboms.clone();
        if let Some(options) = &self.request.attest.provenance {
            let steps = Steps::new(self.graph, part.lowered.rootfs);
            let detail = match options.mode {
                Mode::Min => None,
                Mode::Max => Some(self.detail(&steps, part, image)?),
            };
            let provenance = self.provenance(options, part, &steps, detail);
            attestations.push(Attestation {
                file_name: options.file_name.clone(),
                predicate_type: predicate_type(options.version).to_owned(),
                predicate: predicate(&provenance, options.version)?,
                subjects: Vec::new(),
                inline_only: options.inline_only,
            });
        }
        Ok(attestations)
    }

    /// Returns how a part was made, as metadata tells it.
    pub(super) fn summary(&self, part: &Part<'_>) -> Result<Option<serde_json::Value>, BuildError> {
        let Some(options) = &self.request.attest.provenance else {
            return Ok(None);
        };
        let steps = Steps::new(self.graph, part.lowered.rootfs);
        let provenance = self.provenance(options, part, &steps, None);
        Ok(Some(summary(&predicate(&provenance, options.version)?)))
    }

    /// Returns what lies beside an image in an index; nothing if nothing is attested.
    pub(super) fn manifest(
        &self,
        variant: &Variant,
        part: &Part<'_>,
        image: &PlatformImage,
    ) -> Result<Option<AttestationManifest>, BuildError> {
        let attestations = self.attestations(part, Some(image))?;
        if attestations.is_empty() {
            return Ok(None);
        }
        let described = &image.manifest.descriptor;
        let subject = |name: String| Subject {
            name,
            digest: [("sha256".to_owned(), described.digest.hex())].into(),
        };
        let mut subjects: Vec<Subject> = Vec::new();
        for name in &variant.names {
            subjects.push(subject(image_url(name, &image.platform)));
        }
        if subjects.is_empty() {
            subjects.push(subject(Subject::UNNAMED.to_owned()));
        }
        let form = variant.options.artifact_form;
        Ok(Some(attestation_manifest(&attestations, &subjects, described, form)?))
    }

    /// Gathers the facts of a part; `detail` is what only detailed provenance tells.
    fn provenance(
        &self,
        options: &ProvenanceOptions,
        part: &Part<'_>,
        steps: &Steps<'_>,
        detail: Option<Detail>,
    ) -> Provenance {
        let request = self.request;
        let args = RequestArgs {
            build_args: &request.build_args,
            labels: &request.labels,
            target: request.target.as_deref(),
            contexts: &request.contexts,
            no_cache: &request.no_cache,
            network: request.network,
            add_hosts: &request.add_hosts,
        };
        let mut parameters = Parameters::of(args, steps, self.locals(steps));
        let all_parameters = match options.mode {
            Mode::Min => parameters.reduce(),
            Mode::Max => true,
        };
        Provenance {
            builder_id: options.builder_id.clone(),
            builder_platform: Platform::host().to_string(),
            source: request.source.clone(),
            parameters,
            all_parameters,
            materials: self.materials(part, steps),
            offline: steps.vertices().all(|vertex| is_offline(&vertex.op)),
            reproducible: options.reproducible,
            invocation: (!options.reproducible).then(|| Invocation {
                id: self.services.build_id.clone(),
                started: self.services.started.to_string(),
                finished: jiff::Timestamp::now().to_string(),
            }),
            vcs: self.vcs(),
            detail,
        }
    }

    /// Returns the directories of this machine that were read: the main context even if nothing was copied from it,
    /// because its ignore file was.
    fn locals(&self, steps: &Steps<'_>) -> Vec<String> {
        let source = &self.request.source;
        let mut locals: Vec<String> = Vec::new();
        if source.context.is_none() {
            locals.push(MAIN_CONTEXT.to_owned());
        }
        if source.local_dockerfile {
            locals.push("dockerfile".to_owned());
        }
        let named = steps.vertices().filter_map(|vertex| match &vertex.op {
            Op::Local(op) if op.name != MAIN_CONTEXT => Some(op.name.clone()),
            _ => None,
        });
        locals.extend(named);
        locals
    }

    fn materials(&self, part: &Part<'_>, steps: &Steps<'_>) -> Vec<Material> {
        let pins = self.images.pins();
        let sources = Sources {
            images: &pins,
            fetched: &self.fetched,
        };
        let mut materials = materials(steps, sources);
        let mut also = |material: Material| {
            if !materials.contains(&material) {
                materials.push(material);
            }
        };
        // An image without layers has no vertex, but the config is from it.
        if let Some(base) = &part.lowered.base {
            also(sources.image(&base.image.reference, part.platform));
        }
        if let Some(sbom) = &self.request.attest.sbom {
            also(sources.image(&sbom.generator, &Platform::host()));
        }
        if let Some(context) = &self.request.source.context {
            also(context.clone());
        }
        materials
    }

    fn vcs(&self) -> BTreeMap<&'static str, String> {
        let CheckedOut { repository, commit } = self.checked_out;
        let known = [("source", repository), ("revision", commit)];
        let known = known
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?)));
        known.collect()
    }

    fn detail(&self, steps: &Steps<'_>, part: &Part<'_>, image: Option<&PlatformImage>) -> Result<Detail, BuildError> {
        let base = part.base.as_ref();
        let of_base = base.map_or(0, |base| base.layers.len());
        let (below, above) = match image {
            Some(image) => image.layers.split_at(of_base.min(image.layers.len())),
            None => Default::default(),
        };
        let made = part.lowered.history.iter().filter_map(|entry| entry.layer);
        let made: HashMap<VertexId, Descriptor> = made.zip(above.iter().cloned()).collect();
        let of_image = |op: &ImageOp| {
            let wanted: Option<Digest> = op.reference.digest();
            match base {
                Some(base) if image.is_some() && Some(base.manifest.digest) == wanted => Some(below.to_vec()),
                _ => Some(self.images.by_manifest(wanted?)?.descriptors()),
            }
        };
        let layers = LayersOf {
            image: &of_image,
            step: &made,
        };
        Ok(Detail {
            build_config: steps.build_config(),
            source: source_map(steps, &self.request.dockerfile, &self.request.source.path),
            layers: chains(steps, &layers)?,
        })
    }
}

/// Tells whether an operation cannot have used the network; what sources fetch is known by its digest.
fn is_offline(op: &Op) -> bool {
    match op {
        Op::Run(op) => op.network == Network::None,
        _ => true,
    }
}
