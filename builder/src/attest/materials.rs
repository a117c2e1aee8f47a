//! Materials: everything from outside that went into a result, by address and digest.

use std::collections::{BTreeMap, BTreeSet};

use registry::oci::{Digest, Platform, Reference};
use serde::Serialize;

use super::{Steps, image_url};
use crate::fetch::Revision;
use crate::graph::VertexId;
use crate::image::ImagePin;
use crate::op::Op;

/// Digests of one thing by the name of their algorithm, in hexadecimal (in-toto, DigestSet).
pub type DigestSet = BTreeMap<String, String>;

/// Something from outside that a build was made with.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Material {
    /// Where it is; without a user and password.
    pub uri: String,
    /// What it was.
    #[serde(skip_serializing_if = "DigestSet::is_empty")]
    pub digest: DigestSet,
}

/// Where the context and the Dockerfile of a build come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigSource {
    /// The context, if it was fetched: a commit or a web file.
    pub context: Option<Material>,
    /// Whether the Dockerfile was on this machine.
    pub local_dockerfile: bool,
    /// The Dockerfile: its path in the context, else its name.
    pub path: String,
}

/// What sources were found to be in a build.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// What the names of images meant.
    pub images: &'a [ImagePin],
    /// Which versions of web files and repositories were found.
    pub fetched: &'a BTreeMap<VertexId, Revision>,
}

impl Sources<'_> {
    /// Returns an image as a material. It is named as the Dockerfile names it; `reference` is what became of that name,
    /// pinned to the manifest for the platform.
    pub fn image(&self, reference: &Reference, platform: &Platform) -> Material {
        let is_it = |pin: &&ImagePin| {
            pin.platform == *platform && (pin.named == *reference || pin.named.with_digest(pin.manifest) == *reference)
        };
        match self.images.iter().find(is_it) {
            Some(pin) => Material {
                uri: image_url(&pin.named, platform),
                digest: sha256(pin.digest),
            },
            None => Material {
                uri: image_url(reference, platform),
                digest: reference.digest().map(sha256).unwrap_or_default(),
            },
        }
    }
}

/// Returns the materials of some steps: images, repositories, web files, each kind in the order of its addresses.
pub fn materials(steps: &Steps<'_>, sources: Sources<'_>) -> Vec<Material> {
    let (mut images, mut repositories, mut files) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for vertex in steps.vertices() {
        let fetched = |uri: String| Material {
            uri,
            digest: sources.fetched.get(&vertex.id).map(digest_set).unwrap_or_default(),
        };
        match &vertex.op {
            Op::Image(op) => drop(images.insert(sources.image(&op.reference, &op.platform))),
            Op::Git(op) => drop(repositories.insert(fetched(op.address.to_string()))),
            Op::Http(op) => drop(files.insert(fetched(op.address.to_string()))),
            Op::Local(_) | Op::Run(_) | Op::Copy(_) | Op::Workdir(_) | Op::Merge => {}
        }
    }
    images.into_iter().chain(repositories).chain(files).collect()
}

/// Returns the digests of what was fetched. A commit has the name that BuildKit gives it, that of its algorithm, and the
/// one that SLSA wants.
pub fn digest_set(revision: &Revision) -> DigestSet {
    match revision {
        Revision::Bytes(digest) => sha256(*digest),
        Revision::Commit(commit) => {
            let algorithm = if commit.len() == 64 { "sha256" } else { "sha1" };
            [algorithm, "gitCommit"]
                .map(|name| (name.to_owned(), commit.clone()))
                .into()
        }
    }
}

pub(super) fn sha256(digest: Digest) -> DigestSet {
    [("sha256".to_owned(), digest.hex())].into()
}
