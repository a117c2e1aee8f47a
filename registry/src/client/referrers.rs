//! What refers to an image: signatures, attestations (distribution-spec v1.1, "Listing referrers").
//!
//! A registry that knows `subject` says so with `OCI-Subject` and lists referrers itself. For one that does not, the
//! client keeps the list, an index under the tag `sha256-HEX` of the image; its entries carry the referrer's own
//! `artifactType` and annotations, because that is what readers of the list filter by. The list is the registry's word:
//! what is fetched by a digest in it is verified like everything else.

use bytes::Bytes;
use reqwest::header::LINK;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use std::collections::BTreeMap;

use super::Client;
use super::error::{ClientError, MalformedError};
use super::manifest::{self, Parsed};
use super::session::Call;
use super::tags::next_page;
use crate::auth::scope::ScopeSet;
use crate::oci::{Descriptor, Digest, Index, MediaType, Reference};

/// The longest list that is read, in bytes.
const LIST_LIMIT: u64 = 4 << 20;

/// Pages that are read at most.
const MOST_PAGES: usize = 100;

/// How often the list under a tag is written at most: another client may write its own in between.
const WRITES: u32 = 5;

/// The key under which a descriptor keeps the type of an artifact.
const ARTIFACT_TYPE: &str = "artifactType";

/// The fields of a manifest that say what it refers to, and as what.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Referring {
    subject: Option<Descriptor>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Client {
    /// Lists what refers to the image with `digest` in the repository of `repository`; with `artifact_type`, only what
    /// is of that type.
    pub async fn referrers(
        &self,
        repository: &Reference,
        digest: Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, ClientError> {
        let mut found = match self.listed_referrers(repository, digest, artifact_type).await? {
            Some(found) => found,
            None => self.tagged_referrers(repository, digest).await?.manifests,
        };
        // A registry need not filter, and need not say whether it has.
        found.retain(|referrer| artifact_type.is_none_or(|wanted| artifact_type_of(referrer) == Some(wanted)));
        Ok(found)
    }

    /// Puts a manifest that has a `subject` under its digest, and lists it where the registry does not.
    ///
    /// # Errors
    /// If the manifest has no `subject`, and as for [`push_manifest`](Self::push_manifest).
    pub async fn push_referrer(
        &self,
        repository: &Reference,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<Digest, ClientError> {
        let what = format!("a referrer in `{}`", repository.familiar());
        let referring: Referring =
            serde_json::from_slice(&bytes).map_err(|e| malformed(&what, MalformedError::Json(e)))?;
        let Some(subject) = &referring.subject else {
            return Err(malformed(&what, MalformedError::FieldsMissing("subject".into())));
        };
        let to = repository.untagged(Digest::of(&bytes));
        let (digest, is_listed) = self.put_manifest(&to, media_type, bytes.clone()).await?;
        if !is_listed {
            let entry = referring.describe(media_type, &bytes);
            self.list_under_tag(repository, subject.digest, &entry).await?;
        }
        Ok(digest)
    }

    /// Asks the registry for its own list; nothing if it keeps none.
    async fn listed_referrers(
        &self,
        repository: &Reference,
        digest: Digest,
        artifact_type: Option<&str>,
    ) -> Result<Option<Vec<Descriptor>>, ClientError> {
        let target = self.session.target(repository).await?;
        let what = format!("the referrers of `{}`", repository.untagged(digest).familiar());
        let mut url = target.url(&format!("referrers/{digest}"));
        if let Some(wanted) = artifact_type {
            url.query_pairs_mut().append_pair(ARTIFACT_TYPE, wanted);
        }
        let mut found = Vec::new();
        for _ in 0..MOST_PAGES {
            let call = Call::new(Method::GET, url.clone(), ScopeSet::pull(&target.repository));
            let (answer, bytes) = self.session.fetch(&target, &call, LIST_LIMIT, &what).await?;
            match answer.status() {
                StatusCode::NOT_FOUND => return Ok(None),
                // What does not know the path at all says so in its own way.
                StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                    return Ok(None);
                }
                status if !status.is_success() => return Err(answer.into_error().await),
                _ => {}
            }
            let page = match manifest::parse(&bytes, &MediaType::INDEX.into()) {
                Ok(Parsed::Index(index)) => index.manifests,
                // Some answer unknown paths with a page for people.
                Ok(Parsed::Manifest(_)) | Err(_) => return Ok(None),
            };
            found.extend(page);
            match answer.header(LINK).and_then(|link| next_page(&url, link)) {
                Some(next) => url = next,
                None => break,
            }
        }
        Ok(Some(found))
    }

    /// Reads the list under the tag; an empty one if there is none.
    async fn tagged_referrers(&self, repository: &Reference, digest: Digest) -> Result<Index, ClientError> {
        let tag = fallback_tag(repository, digest)?;
        let (descriptor, bytes) = match self.manifest(&tag).await {
            Ok(found) => found,
            Err(ClientError::NotFound { .. }) => return Ok(Index::new(Vec::new())),
            Err(error) => return Err(error),
        };
        match manifest::parse(&bytes, &descriptor.media_type) {
            Ok(Parsed::Index(index)) => Ok(index),
            Ok(Parsed::Manifest(_)) => Err(malformed(
                &tag.familiar(),
                MalformedError::UnknownType(descriptor.media_type.0),
            )),
            Err(error) => Err(malformed(&tag.familiar(), error)),
        }
    }

    /// Adds an entry to the list under the tag, and looks whether it has stayed there.
    async fn list_under_tag(&self, repository: &Reference, of: Digest, entry: &Descriptor) -> Result<(), ClientError> {
        let tag = fallback_tag(repository, of)?;
        for _ in 0..WRITES {
            let mut index = self.tagged_referrers(repository, of).await?;
            if index.manifests.contains(entry) {
                return Ok(());
            }
            index.manifests.retain(|known| known.digest != entry.digest);
            index.manifests.push(entry.clone());
            let bytes = serde_json::to_vec(&index).map_err(|e| malformed(&tag.familiar(), MalformedError::Json(e)))?;
            self.put_manifest(&tag, &MediaType::INDEX.into(), bytes.into()).await?;
        }
        match self.tagged_referrers(repository, of).await?.manifests.contains(entry) {
            true => Ok(()),
            false => Err(ClientError::Unlisted {
                reference: tag.familiar(),
            }),
        }
    }
}

impl Referring {
    /// Returns the entry for the list: the type of an artifact is that of its config where it has none itself.
    fn describe(&self, media_type: &MediaType, bytes: &[u8]) -> Descriptor {
        let config = self.config.as_ref().map(|config| config.media_type.0.clone());
        let artifact_type = self.artifact_type.clone().filter(|kind| !kind.is_empty()).or(config);
        let mut entry = Descriptor {
            annotations: self.annotations.clone(),
            ..Descriptor::of(&media_type.0, bytes)
        };
        entry
            .extra
            .extend(artifact_type.map(|kind| (ARTIFACT_TYPE.to_owned(), kind.into())));
        entry
    }
}

fn artifact_type_of(referrer: &Descriptor) -> Option<&str> {
    referrer.extra.get(ARTIFACT_TYPE)?.as_str()
}

/// Returns the tag under which the list is kept where the registry keeps none.
fn fallback_tag(repository: &Reference, digest: Digest) -> Result<Reference, ClientError> {
    let tag = digest.to_string().replace(':', "-");
    repository.with_tag(&tag).map_err(|e| ClientError::Setup {
        registry: repository.registry().to_owned(),
        source: e.into(),
    })
}

fn malformed(what: &str, source: MalformedError) -> ClientError {
    ClientError::Malformed {
        what: what.to_owned(),
        source,
    }
}
