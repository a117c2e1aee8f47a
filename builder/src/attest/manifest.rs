//! Attestation manifests: how statements lie beside an image (BuildKit's `attestation-storage.md`).

use std::collections::BTreeMap;

use registry::oci::{Descriptor, DiffId, ImageConfig, Manifest, MediaType, Platform, RootFs};
use serde_json::json;

use super::{Attestation, Subject};
use crate::export::{ArtifactForm, AttestationManifest, Document};

const STATEMENT: &str = "application/vnd.in-toto+json";
const ARTIFACT: &str = "application/vnd.docker.attestation.manifest.v1+json";
/// An empty JSON object, which is in its own descriptor (image-spec, manifest.md).
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// Puts what is attested of an image into a manifest; `subjects` is the image under all its names.
///
/// # Errors
/// Only if a value cannot be written as JSON.
pub fn attestation_manifest(
    attestations: &[Attestation],
    subjects: &[Subject],
    image: &Descriptor,
    form: ArtifactForm,
) -> Result<AttestationManifest, serde_json::Error> {
    let (mut statements, mut layers) = (Vec::new(), Vec::new());
    for attestation in attestations {
        let statement = Document::new(STATEMENT, attestation.statement(subjects)?);
        let mut layer = statement.descriptor.clone();
        let kind = attestation.predicate_type.clone();
        layer.annotations.insert(PREDICATE_TYPE.to_owned(), kind);
        layers.push(layer);
        statements.push(statement);
    }
    let mut extra = BTreeMap::new();
    let (config, described) = match form {
        ArtifactForm::Artifact => {
            extra.insert("artifactType".to_owned(), ARTIFACT.into());
            let subject = Descriptor::new(&image.media_type.0, image.digest, image.size);
            extra.insert("subject".to_owned(), serde_json::to_value(subject)?);
            let config = Document::new(EMPTY, b"{}".to_vec());
            let mut described = config.descriptor.clone();
            described.extra.insert("data".to_owned(), json!("e30="));
            (config, described)
        }
        ArtifactForm::Image => {
            let config = ImageConfig {
                architecture: unknown().architecture,
                os: unknown().os,
                rootfs: RootFs {
                    diff_ids: layers.iter().map(|layer| DiffId(layer.digest)).collect(),
                    ..RootFs::default()
                },
                ..ImageConfig::default()
            };
            let config = Document::new(MediaType::CONFIG, serde_json::to_vec(&config)?);
            let described = config.descriptor.clone();
            (config, described)
        }
    };
    let manifest = Manifest {
        extra,
        ..Manifest::new(described, layers)
    };
    Ok(AttestationManifest {
        manifest: Document::new(MediaType::MANIFEST, serde_json::to_vec(&manifest)?),
        config,
        statements,
    })
}

/// Returns the entry of an index that names the attestations of an image. No runtime takes them for an image, because it
/// is for no platform.
pub fn attestation_entry(attestations: &AttestationManifest, image: &Descriptor) -> Descriptor {
    let annotations = [
        (REFERENCE_DIGEST, image.digest.to_string()),
        (REFERENCE_TYPE, "attestation-manifest".to_owned()),
    ];
    Descriptor {
        platform: Some(unknown()),
        annotations: annotations.map(|(key, value)| (key.to_owned(), value)).into(),
        ..attestations.manifest.descriptor.clone()
    }
}

fn unknown() -> Platform {
    Platform {
        architecture: "unknown".to_owned(),
        os: "unknown".to_owned(),
        os_version: None,
        variant: None,
    }
}
