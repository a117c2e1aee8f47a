//! GitHub's cache service, version 2: a Twirp service that says where bytes go, and block blobs of Azure's storage there.
//!
//! An entry is made in three steps: it is created, which gives an address; its bytes are put there, in blocks and then
//! the list of them; it is finished. It never changes then. A document therefore has the digest of its content in its key,
//! behind its name, and is found by the beginning of its key, of which the service gives the newest.
//!
//! The token goes to the service alone; the addresses in its answers bear signatures of their own.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Ask, Http, blob_name, no_answer, service};
use crate::auth::Secret;
use crate::client::body::{BlobSource, Payload};
use crate::client::error::ClientError;
use crate::client::meter::Progress;
use crate::oci::{Descriptor, Digest};

/// What to do when the service says no.
pub(super) const CHECK: &str = "the token is one of a running job, and lives as long: see that the step gets \
                                `ACTIONS_RUNTIME_TOKEN` and `ACTIONS_RESULTS_URL`";
/// The service, below its address.
const SERVICE: &str = "twirp/github.actions.results.api.v1.CacheService/";
/// Bytes of one block.
const BLOCK: u64 = 32 << 20;
/// Blocks of one blob that are put at the same time.
const PARALLEL_BLOCKS: usize = 4;
/// Azure's version of its protocol.
const AZURE_VERSION: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-ms-version"),
    HeaderValue::from_static("2020-04-08"),
);

/// What it takes to use GitHub's cache.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActionsOptions {
    /// The service's address: `ACTIONS_RESULTS_URL`.
    pub url: String,
    /// The job's token: `ACTIONS_RUNTIME_TOKEN`.
    pub token: Secret,
    /// What tells this cache's documents from others'.
    pub scope: String,
}

/// The cache of a repository.
#[derive(Debug)]
pub(super) struct Actions {
    address: Url,
    token: HeaderValue,
    scope: String,
    version: String,
}

/// What was found for a key.
#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    ok: bool,
    #[serde(default)]
    signed_download_url: String,
    #[serde(default)]
    matched_key: String,
}

impl Actions {
    pub(super) fn new(options: ActionsOptions) -> Result<Self, ClientError> {
        let mut address = service(&options.url)?;
        if !address.path().ends_with('/') {
            let path = format!("{}/", address.path());
            address.set_path(&path);
        }
        let bearer = format!("Bearer {}", options.token.expose());
        let unusable = |_| ClientError::Setup {
            registry: address.to_string(),
            source: "the token holds what no header can".into(),
        };
        let mut token = HeaderValue::try_from(bearer).map_err(unusable)?;
        token.set_sensitive(true);
        Ok(Self {
            address,
            token,
            scope: options.scope,
            // Whoever looks for another version does not find ours: BuildKit's entries and those of `actions/cache`.
            version: Digest::of(b"croze cache 1").hex(),
        })
    }

    pub(super) fn address(&self) -> &Url {
        &self.address
    }

    pub(super) async fn document(&self, http: &Http, name: &str) -> Result<Option<Bytes>, ClientError> {
        let Some(url) = self.find(http, &self.document_key(name), false).await? else {
            return Ok(None);
        };
        let (response, bytes) = http.fetch(&Ask::new(Method::GET), || url.clone()).await?;
        match response.status() {
            status if status.is_success() => Ok(Some(bytes)),
            // It was just removed.
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(http.refusal(response, CHECK, name).await),
        }
    }

    pub(super) async fn has_document(&self, http: &Http, name: &str) -> Result<bool, ClientError> {
        Ok(self.find(http, &self.document_key(name), false).await?.is_some())
    }

    pub(super) async fn put_document(&self, http: &Http, name: &str, bytes: Bytes) -> Result<(), ClientError> {
        let key = format!("{}{}", self.document_key(name), Digest::of(&bytes).hex());
        let size = bytes.len() as u64;
        self.put(http, &key, &BlobSource::Bytes(bytes), size, &|_| {}).await
    }

    pub(super) async fn has_blob(&self, http: &Http, digest: Digest) -> Result<bool, ClientError> {
        Ok(self.find(http, &blob_key(digest), true).await?.is_some())
    }

    pub(super) async fn put_blob(
        &self,
        http: &Http,
        blob: &Descriptor,
        source: &BlobSource,
        progress: Progress<'_>,
    ) -> Result<(), ClientError> {
        self.put(http, &blob_key(blob.digest), source, blob.size, progress)
            .await
    }

    /// Returns an address from which a blob can be had for some minutes.
    pub(super) async fn blob_url(&self, http: &Http, digest: Digest) -> Result<Url, ClientError> {
        let found = self.find(http, &blob_key(digest), true).await?;
        found.ok_or_else(|| ClientError::Setup {
            registry: self.to_string(),
            source: format!("{} is not in it any more", blob_name(digest)).into(),
        })
    }

    /// Returns the beginning of the keys under which a document is.
    fn document_key(&self, name: &str) -> String {
        format!("croze-entry-{}-{name}-", self.scope)
    }

    /// Returns an address of the entry of a key, or of the newest whose key begins so.
    async fn find(&self, http: &Http, key: &str, is_whole: bool) -> Result<Option<Url>, ClientError> {
        let prefixes: &[&str] = if is_whole { &[] } else { &[key] };
        let question = json!({ "key": key, "restore_keys": prefixes, "version": self.version });
        let answer = self.call(http, "GetCacheEntryDownloadURL", &question).await;
        let found: Found = match answer {
            Err(ClientError::NotFound { .. }) => return Ok(None),
            answer => answer?,
        };
        let is_ours = match is_whole {
            true => found.matched_key == key,
            false => found.matched_key.starts_with(key),
        };
        if !found.ok || !is_ours {
            return Ok(None);
        }
        self.storage(&found.signed_download_url).map(Some)
    }

    /// Makes an entry, unless there is one of its key, or somebody is just making it.
    async fn put(
        &self,
        http: &Http,
        key: &str,
        source: &BlobSource,
        size: u64,
        progress: Progress<'_>,
    ) -> Result<(), ClientError> {
        #[derive(Deserialize)]
        struct Created {
            #[serde(default)]
            ok: bool,
            #[serde(default)]
            signed_upload_url: String,
        }
        #[derive(Deserialize)]
        struct Finished {
            #[serde(default)]
            ok: bool,
        }
        let question = json!({ "key": key, "version": self.version });
        let created: Created = match self.call(http, "CreateCacheEntry", &question).await {
            Err(ClientError::Refused(refusal)) if refusal.has_code("already_exists") => return Ok(()),
            answer => answer?,
        };
        if !created.ok {
            return Ok(());
        }
        let url = self.storage(&created.signed_upload_url)?;
        self.put_blocks(http, &url, source, size, progress).await?;
        let question = json!({ "key": key, "version": self.version, "size_bytes": size.to_string() });
        let finished: Finished = self.call(http, "FinalizeCacheEntryUpload", &question).await?;
        match finished.ok {
            true => Ok(()),
            false => Err(ClientError::Setup {
                registry: self.to_string(),
                source: format!("it did not take the entry `{key}`").into(),
            }),
        }
    }

    /// Puts the bytes of an entry in blocks, some at a time, then the list of them.
    async fn put_blocks(
        &self,
        http: &Http,
        url: &Url,
        source: &BlobSource,
        size: u64,
        progress: Progress<'_>,
    ) -> Result<(), ClientError> {
        let starts: Vec<u64> = (0..size).step_by(BLOCK as usize).collect();
        // All names of blocks must have the same length.
        let name = |start: u64| BASE64.encode(format!("{:08}", start / BLOCK));
        stream::iter(starts.iter().copied())
            .map(async |start| {
                let mut to = url.clone();
                to.query_pairs_mut()
                    .append_pair("comp", "block")
                    .append_pair("blockid", &name(start));
                let end = size.min(start + BLOCK);
                put_to_storage(http, to, Payload::Part(source, start..end)).await?;
                progress(end);
                Ok::<_, ClientError>(())
            })
            .buffered(PARALLEL_BLOCKS)
            .try_collect::<()>()
            .await?;
        let list: String = starts
            .iter()
            .map(|start| format!("<Latest>{}</Latest>", name(*start)))
            .collect();
        let list = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>{list}</BlockList>");
        let mut to = url.clone();
        to.query_pairs_mut().append_pair("comp", "blocklist");
        put_to_storage(http, to, Payload::Bytes(list.into())).await
    }

    /// Asks the service.
    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        http: &Http,
        method: &str,
        question: &Value,
    ) -> Result<T, ClientError> {
        let address = self.address.join(SERVICE).and_then(|service| service.join(method));
        let address = address.map_err(|error| ClientError::Setup {
            registry: self.to_string(),
            source: error.into(),
        })?;
        let ask = Ask {
            headers: HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]),
            authorization: Some(self.token.clone()),
            payload: Payload::Bytes(question.to_string().into()),
            ..Ask::new(Method::POST)
        };
        let (response, bytes) = http.fetch(&ask, || address.clone()).await?;
        if !response.status().is_success() {
            return Err(http.refusal(response, CHECK, method).await);
        }
        serde_json::from_slice(&bytes).map_err(|_| no_answer(response.request()))
    }

    /// Reads an address of the storage; it is as safe as that of the service.
    fn storage(&self, text: &str) -> Result<Url, ClientError> {
        let url = Url::parse(text).ok().filter(Url::has_host);
        let is_safe = |url: &Url| url.scheme() == "https" || self.address.scheme() == "http" && url.scheme() == "http";
        // The address is not told: it holds a signature.
        url.filter(is_safe).ok_or_else(|| ClientError::Setup {
            registry: self.to_string(),
            source: "it names a storage that is no https URL".into(),
        })
    }
}

fn blob_key(digest: Digest) -> String {
    format!("croze-blob-{}", digest.hex())
}

async fn put_to_storage(http: &Http, to: Url, payload: Payload<'_>) -> Result<(), ClientError> {
    let ask = Ask {
        headers: HeaderMap::from_iter([
            AZURE_VERSION,
            (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        ]),
        payload,
        ..Ask::new(Method::PUT)
    };
    let response = http.ask(&ask, || to.clone()).await?;
    match response.status().is_success() {
        true => Ok(()),
        false => Err(http.refusal(response, CHECK, "an entry").await),
    }
}

impl fmt::Display for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.address, self.scope)
    }
}
