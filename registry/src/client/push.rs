//! Pushing: a blob by the cheapest way that the registry allows, a manifest under its tag or digest.
//!
//! What the registry has is not sent; what it has in another repository is mounted; the rest is uploaded.
//! Blobs may be pushed in parallel. The manifest comes last, when all of them are there.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};

use super::Client;
use super::body::{BlobSource, Payload};
use super::endpoint::Target;
use super::error::{ClientError, ErrorKind};
use super::made::BlobMaker;
use super::meter::Progress;
use super::pull::blob_call;
use super::refusal::Refusal;
use super::resolve::{check_digest, content_digest};
use super::session::{Call, Session};
use super::stream::{Stream, Streamed};
use super::upload::Upload;
use super::upload_session::{Opened, Uploads};
use crate::auth::scope::ScopeSet;
use crate::oci::{Descriptor, Digest, MediaType, Reference};

/// How often a manifest is put at most whose blobs the registry does not find. They have been pushed; but docker-registry
/// reads its note of a blob while another client's push of the same one is writing that, and others find new blobs late.
const PUTS: u32 = 3;

/// What a registry that lists referrers answers to a manifest with a `subject`.
const SUBJECT: &str = "oci-subject";

/// How a blob came into a repository.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pushed {
    /// It was there.
    Existed,
    /// The registry took it from another of its repositories.
    Mounted,
    /// Its bytes were sent.
    Uploaded,
}

/// What a registry says to a blob before it has its bytes.
enum Offer {
    /// It needs none.
    There(Pushed),
    /// It wants them, and may have opened an upload for them.
    Wanted(Option<Opened>),
}

impl Client {
    /// Pushes `blob` into the repository of `to`.
    ///
    /// `mount_from` are references to images that may hold the blob; those of other registries are ignored.
    /// `progress` is told how many bytes were sent. The source is read again for every try.
    pub async fn push_blob(
        &self,
        to: &Reference,
        blob: &Descriptor,
        source: BlobSource,
        mount_from: &[Reference],
        progress: Progress<'_>,
    ) -> Result<Pushed, ClientError> {
        let target = self.session.target(to).await?;
        let opened = match self.session.offer(&target, blob, mount_from).await? {
            Offer::There(pushed) => return Ok(pushed),
            Offer::Wanted(opened) => opened,
        };
        let length = source.len().await?;
        if length != blob.size {
            let what = format!("the source of the blob `{}`", blob.digest);
            return Err(ClientError::Size {
                what,
                expected: blob.size,
                actual: length,
            });
        }
        Upload {
            to: Uploads {
                session: &self.session,
                target: &target,
            },
            blob,
            source: &source,
            progress,
        }
        .run(opened)
        .await?;
        Ok(Pushed::Uploaded)
    }

    /// Pushes a blob into the repository of `to` that is made while it is sent, so that nobody needs to keep it.
    ///
    /// `known` is what it became the last time: the registry is asked for that first, and for a mount from `mount_from`.
    /// What is sent in the end is what `maker` makes. It makes the blob again for every try.
    pub async fn push_made(
        &self,
        to: &Reference,
        known: Option<&Descriptor>,
        maker: &Arc<dyn BlobMaker>,
        mount_from: &[Reference],
        progress: Progress<'_>,
    ) -> Result<Streamed, ClientError> {
        let target = self.session.target(to).await?;
        let opened = match known {
            None => None,
            Some(blob) => match self.session.offer(&target, blob, mount_from).await? {
                Offer::There(pushed) => return Ok(Streamed::There(pushed)),
                Offer::Wanted(opened) => opened,
            },
        };
        let to = Uploads {
            session: &self.session,
            target: &target,
        };
        Stream { to, maker, progress }.run(opened).await
    }

    /// Puts a manifest or index under the tag of `to`, or under its digest where there is no tag.
    pub async fn push_manifest(
        &self,
        to: &Reference,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<Digest, ClientError> {
        self.put_manifest(to, media_type, bytes).await.map(|(digest, _)| digest)
    }

    /// Puts a manifest, and tells whether the registry lists it with what it refers to.
    pub(super) async fn put_manifest(
        &self,
        to: &Reference,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<(Digest, bool), ClientError> {
        let target = self.session.target(to).await?;
        let what = format!("the manifest of `{}`", to.familiar());
        let digest = Digest::of(&bytes);
        if let Some(expected) = to.digest() {
            check_digest(&what, expected, digest)?;
        }
        let name = to.tag().map_or_else(|| digest.to_string(), str::to_owned);
        let url = target.url(&format!("manifests/{name}"));
        let content_type = HeaderValue::try_from(&media_type.0).map_err(|e| ClientError::Setup {
            registry: target.registry.clone(),
            source: e.into(),
        })?;
        let call = Call {
            headers: HeaderMap::from_iter([(CONTENT_TYPE, content_type)]),
            payload: Payload::Bytes(bytes),
            ..Call::new(Method::PUT, url, ScopeSet::push(&target.repository))
        };
        let mut tries = self.session.tries(&target);
        let mut put = 0;
        loop {
            put += 1;
            let answer = self.session.call(&target, &call).await?;
            if answer.status().is_success() {
                if let Some(theirs) = content_digest(&answer) {
                    check_digest(&what, digest, theirs)?;
                }
                return Ok((digest, answer.header(SUBJECT).is_some()));
            }
            let error = manifest_refused(answer.refusal().await, media_type);
            let may_pass = matches!(error, ClientError::BlobUnknown(_)) && put < PUTS;
            match may_pass.then(|| tries.after_conflict()).flatten() {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(error),
            }
        }
    }
}

impl Session {
    /// Tells whether the repository has a blob. A refusal is no answer: the upload that follows gets the same
    /// one, and in words.
    pub(super) async fn has_blob(&self, target: &Target, digest: Digest) -> Result<bool, ClientError> {
        // One token serves this and the upload.
        let scopes = ScopeSet::push(&target.repository);
        let call = Call {
            scopes,
            ..blob_call(target, Method::HEAD, digest)
        };
        Ok(self.call(target, &call).await?.status() == StatusCode::OK)
    }

    /// Asks for a blob, and then for a mount from other repositories of the registry.
    async fn offer(&self, target: &Target, blob: &Descriptor, from: &[Reference]) -> Result<Offer, ClientError> {
        if self.has_blob(target, blob.digest).await? {
            return Ok(Offer::There(Pushed::Existed));
        }
        let mut repositories: Vec<&str> = from
            .iter()
            .filter(|from| target.is_same_registry(from) && from.repository() != target.repository)
            .map(Reference::repository)
            .collect();
        repositories.dedup();
        for repository in repositories {
            let mut url = target.url("blobs/uploads/");
            url.query_pairs_mut()
                .append_pair("mount", &blob.digest.to_string())
                .append_pair("from", repository);
            let scopes = ScopeSet::push(&target.repository).and(ScopeSet::pull(repository));
            let answer = match self.call(target, &Call::new(Method::POST, url, scopes)).await {
                Ok(answer) => answer,
                // No right to the other repository is no reason not to send the bytes.
                Err(error) if error.kind() == ErrorKind::Auth => continue,
                Err(error) => return Err(error),
            };
            match answer.status() {
                StatusCode::CREATED => return Ok(Offer::There(Pushed::Mounted)),
                StatusCode::ACCEPTED => return Ok(Offer::Wanted(Some(Opened::read(&answer)?))),
                status => tracing::debug!(%status, repository, "the registry does not mount"),
            }
        }
        Ok(Offer::Wanted(None))
    }
}

/// Finds out what a registry has against a manifest; the words are those of the big registries.
fn manifest_refused(refusal: Refusal, media_type: &MediaType) -> ClientError {
    let immutable = refusal.says("immutable") || refusal.has_code("TAG_INVALID") && refusal.says("already exists");
    let blob_unknown = refusal.has_code("MANIFEST_BLOB_UNKNOWN") || refusal.has_code("BLOB_UNKNOWN");
    let bad_manifest = refusal.has_code("MANIFEST_INVALID") || refusal.has_code("UNSUPPORTED");
    let about_type = ["media type", "mediatype", "media-type"]
        .iter()
        .any(|words| refusal.says(words));
    match refusal.status() {
        401 => refusal.into_error(),
        _ if immutable => ClientError::TagImmutable(Box::new(refusal)),
        400 | 404 if blob_unknown => ClientError::BlobUnknown(Box::new(refusal)),
        415 => ClientError::MediaTypeRefused {
            media_type: media_type.clone(),
            refusal: Box::new(refusal),
        },
        400..=499 if bad_manifest && about_type => ClientError::MediaTypeRefused {
            media_type: media_type.clone(),
            refusal: Box::new(refusal),
        },
        _ => refusal.into_error(),
    }
}
