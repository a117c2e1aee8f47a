//! From a reference to an image: manifests, indexes, platforms and configs.
//!
//! The digest of the bytes received decides, for a pinned reference and for every step below an index; the
//! registry's own `Docker-Content-Digest` is only compared.

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};

use super::Client;
use super::endpoint::Target;
use super::error::{ClientError, MalformedError};
use super::manifest::{self, Parsed};
use super::platform;
use super::refusal::is_temporary;
use super::session::{Answer, Call};
use crate::auth::scope::ScopeSet;
use crate::oci::{Descriptor, Digest, ImageConfig, Manifest, MediaType, Platform, Reference};

/// The longest manifest or index that is read, in bytes: what the specification asks registries to take.
const MANIFEST_LIMIT: u64 = 4 << 20;

/// The longest config that is read, in bytes.
const CONFIG_LIMIT: u64 = 8 << 20;

/// How many indexes may lead to a manifest.
const INDEX_DEPTH: usize = 2;

/// The registry's word for the digest of what it sends or got.
const CONTENT_DIGEST: &str = "docker-content-digest";

/// The image of one platform, as a registry has it; its layers are not fetched.
#[derive(Clone, Debug)]
pub struct RemoteImage {
    /// Where it is, pinned to the manifest's digest.
    pub reference: Reference,
    /// The manifest's type, digest and size.
    pub manifest_descriptor: Descriptor,
    /// The manifest as received.
    pub manifest_bytes: Bytes,
    /// The manifest as read.
    pub manifest: Manifest,
    /// The config as received.
    pub config_bytes: Bytes,
    /// The config as read.
    pub config: ImageConfig,
}

impl Client {
    /// Fetches the manifest or index at `reference`.
    ///
    /// The bytes have the digest of the descriptor, which is the reference's if it has one. Mirrors are asked first.
    pub async fn manifest(&self, reference: &Reference) -> Result<(Descriptor, Bytes), ClientError> {
        let mut places = self.session.places(reference)?;
        loop {
            match self.manifest_at(&places.next).await {
                Err(error) if places.advance(&error) => {}
                outcome => return outcome,
            }
        }
    }

    async fn manifest_at(&self, reference: &Reference) -> Result<(Descriptor, Bytes), ClientError> {
        let target = self.session.target(reference).await?;
        let call = manifest_call(&target, Method::GET, reference);
        let what = format!("the manifest of `{}`", reference.familiar());
        let (answer, bytes) = self.session.fetch(&target, &call, MANIFEST_LIMIT, &what).await?;
        if !answer.status().is_success() {
            return Err(answer.into_not_found(reference.familiar()).await);
        }
        let digest = Digest::of(&bytes);
        for expected in reference.digest().into_iter().chain(content_digest(&answer)) {
            check_digest(&what, expected, digest)?;
        }
        let media_type = manifest::media_type(&bytes, answer.header(CONTENT_TYPE)).map_err(malformed(reference))?;
        Ok((Descriptor::new(&media_type.0, digest, bytes.len() as u64), bytes))
    }

    /// Asks what is at `reference`, by HEAD where the registry can; nothing if it is not there.
    ///
    /// For a tag the descriptor is the registry's word; what is fetched by its digest then is verified.
    pub async fn head(&self, reference: &Reference) -> Result<Option<Descriptor>, ClientError> {
        let mut places = self.session.places(reference)?;
        loop {
            match self.head_at(&places.next).await {
                Ok(None) if places.skip() => {}
                Err(error) if places.advance(&error) => {}
                outcome => return outcome,
            }
        }
    }

    async fn head_at(&self, reference: &Reference) -> Result<Option<Descriptor>, ClientError> {
        let target = self.session.target(reference).await?;
        let answer = self
            .session
            .call(&target, &manifest_call(&target, Method::HEAD, reference))
            .await?;
        match (answer.status(), described(&answer)) {
            (StatusCode::OK, Some(descriptor)) => {
                if let Some(expected) = reference.digest() {
                    check_digest(&format!("`{}`", reference.familiar()), expected, descriptor.digest)?;
                }
                return Ok(Some(descriptor));
            }
            (StatusCode::NOT_FOUND, _) => return Ok(None),
            (status, _) if is_temporary(status) => return Err(answer.into_error().await),
            // A HEAD has no body that could explain a refusal; some registries refuse it alone.
            _ => {}
        }
        match self.manifest_at(reference).await {
            Ok((descriptor, _)) => Ok(Some(descriptor)),
            Err(ClientError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Resolves `reference` to the image for `platform` and fetches its manifest and config.
    ///
    /// A reference to a manifest, not an index, is taken as it is: whether it is for the platform stands in
    /// its config.
    pub async fn image(&self, reference: &Reference, platform: &Platform) -> Result<RemoteImage, ClientError> {
        let mut reference = reference.clone();
        let (mut descriptor, mut bytes) = self.manifest(&reference).await?;
        for _ in 0..=INDEX_DEPTH {
            let index = match manifest::parse(&bytes, &descriptor.media_type).map_err(malformed(&reference))? {
                Parsed::Manifest(manifest) => {
                    let reference = reference.with_digest(descriptor.digest);
                    return self.with_config(reference, descriptor, bytes, *manifest).await;
                }
                Parsed::Index(index) => index,
            };
            let chosen = platform::select(&index.manifests, platform).ok_or_else(|| ClientError::NoPlatform {
                reference: reference.familiar(),
                wanted: Box::new(platform.clone()),
                available: platform::available(&index.manifests),
            })?;
            reference = reference.with_digest(chosen.digest);
            (descriptor, bytes) = self.manifest(&reference).await?;
            if descriptor.size != chosen.size {
                let what = format!("the manifest `{}`", chosen.digest);
                return Err(ClientError::Size {
                    what,
                    expected: chosen.size,
                    actual: descriptor.size,
                });
            }
            if descriptor.media_type != chosen.media_type {
                let (body, header) = (descriptor.media_type.0, chosen.media_type.0.clone());
                return Err(malformed(&reference)(MalformedError::TypesDiffer { body, header }));
            }
        }
        Err(malformed(&reference)(MalformedError::TooDeep))
    }

    async fn with_config(
        &self,
        reference: Reference,
        manifest_descriptor: Descriptor,
        manifest_bytes: Bytes,
        manifest: Manifest,
    ) -> Result<RemoteImage, ClientError> {
        let config_type = &manifest.config.media_type;
        if !matches!(config_type.0.as_str(), MediaType::CONFIG | MediaType::DOCKER_CONFIG) {
            return Err(malformed(&reference)(MalformedError::NotAnImage(config_type.clone())));
        }
        let config_bytes = self.blob(&reference, &manifest.config, CONFIG_LIMIT).await?;
        let config =
            serde_json::from_slice(&config_bytes).map_err(|e| malformed(&reference)(MalformedError::Json(e)))?;
        Ok(RemoteImage {
            reference,
            manifest_descriptor,
            manifest_bytes,
            manifest,
            config_bytes,
            config,
        })
    }

    /// Fetches a blob of at most `limit` bytes into memory and verifies it.
    pub async fn blob(&self, from: &Reference, blob: &Descriptor, limit: u64) -> Result<Bytes, ClientError> {
        let what = format!("the blob `{}` of `{}`", blob.digest, from.familiar());
        if blob.size > limit {
            return Err(ClientError::TooLarge { what, limit });
        }
        let mut bytes = Vec::new();
        self.fetch_blob(from, blob, &mut bytes, &|_| {}).await?;
        Ok(bytes.into())
    }
}

fn manifest_call<'a>(target: &Target, method: Method, reference: &Reference) -> Call<'a> {
    let name = match (reference.digest(), reference.tag()) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.unwrap_or("latest").to_owned(),
    };
    let url = target.url(&format!("manifests/{name}"));
    let accept = HeaderMap::from_iter(manifest::ACCEPTED.map(|kind| (ACCEPT, HeaderValue::from_static(kind))));
    Call {
        headers: accept,
        ..Call::new(method, url, ScopeSet::pull(&target.repository))
    }
}

/// Returns what a HEAD says, if it says all of it.
fn described(answer: &Answer) -> Option<Descriptor> {
    let media_type = answer.header(CONTENT_TYPE)?;
    let media_type: MediaType = media_type.split(';').next()?.trim().into();
    let known = media_type.is_manifest() || media_type.is_index();
    let (digest, size) = (content_digest(answer)?, answer.content_length()?);
    known.then(|| Descriptor::new(&media_type.0, digest, size))
}

/// Returns the registry's word for the digest, if it is one that this client knows.
pub(super) fn content_digest(answer: &Answer) -> Option<Digest> {
    answer.header(CONTENT_DIGEST)?.parse().ok()
}

/// Fails unless the digests are the same.
pub(super) fn check_digest(what: &str, expected: Digest, actual: Digest) -> Result<(), ClientError> {
    if expected == actual {
        return Ok(());
    }
    Err(ClientError::Digest {
        what: what.to_owned(),
        expected,
        actual,
    })
}

fn malformed(reference: &Reference) -> impl Fn(MalformedError) -> ClientError {
    let what = reference.familiar();
    move |source| ClientError::Malformed {
        what: what.clone(),
        source,
    }
}
