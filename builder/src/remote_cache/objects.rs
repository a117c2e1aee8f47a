//! A cache in a store of objects: one document for each entry, named by the entry's key; `type=s3` and `type=gha`.
//!
//! Nobody rewrites what others have written, so any number of jobs may add to one cache at the same time. A look-up is one
//! request (two of GitHub's cache, if there is an answer). A cache that nobody has written to is one in which nothing is
//! found.

use std::fmt;

use bytes::Bytes;
use futures_util::future::try_join_all;
use registry::auth::Secret;
use registry::client::{
    ActionsOptions, AwsCredentials, AwsEnvironment, BlobSource, Client, ClientError, ObjectStore, S3Options,
};
use registry::oci::Manifest;

use super::document::{EntryImage, ReadEntry, embedded_config, is_ours, read_entry};
use super::entry::EntryError;
use super::spec::{CacheSpecError, Surroundings};
use super::{Foreign, RemoteCacheError};
use crate::attributes::Attributes;
use crate::cache::Record;
use crate::image::Origin;
use crate::op::key::CacheKey;

/// The name of a cache that is given none, as in BuildKit.
const DEFAULT_NAME: &str = "buildkit";

/// Which store of objects, and which cache in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ObjectPlace {
    /// `type=s3`.
    S3 {
        /// The bucket, and how to get at it.
        options: Box<S3Options>,
        /// `name`.
        name: String,
    },
    /// `type=gha`.
    Actions {
        /// The service, and which of a repository's caches it is.
        options: ActionsOptions,
        /// Whose caches they are: `GITHUB_REPOSITORY`, empty if that is not told.
        repository: String,
    },
}

/// A cache in a store of objects.
#[derive(Clone, Debug)]
pub struct ObjectCache {
    store: ObjectStore,
}

impl ObjectPlace {
    /// Takes the attributes of `type=s3`.
    pub(super) fn take_s3(
        attributes: &mut Attributes,
        surroundings: &Surroundings<'_>,
    ) -> Result<Self, CacheSpecError> {
        let bucket = attributes.require("bucket")?;
        let region = attributes.take("region")?;
        let region = region
            .or_else(|| (surroundings.variable)("AWS_REGION"))
            .or_else(|| (surroundings.variable)("AWS_DEFAULT_REGION"));
        let region = region.ok_or(CacheSpecError::Unset {
            key: "region",
            variable: "AWS_REGION",
        })?;
        let name = attributes.take("name")?.unwrap_or_else(|| DEFAULT_NAME.to_owned());
        let prefix = attributes.take("prefix")?.unwrap_or_default();
        let below = |given: Option<String>, usual: &str| format!("{prefix}{}", given.as_deref().unwrap_or(usual));
        let credentials = match attributes.take("access_key_id")? {
            Some(access_key_id) => Some(AwsCredentials {
                access_key_id,
                secret_access_key: Secret::new(attributes.require("secret_access_key")?),
                session_token: attributes.take("session_token")?.map(Secret::new),
            }),
            None => None,
        };
        let options = Box::new(S3Options {
            bucket,
            region,
            endpoint: attributes.take("endpoint_url")?,
            path_style: attributes.take_flag("use_path_style")?.unwrap_or(false),
            documents: format!("{}{name}/", below(attributes.take("manifests_prefix")?, "manifests/")),
            blobs: below(attributes.take("blobs_prefix")?, "blobs/"),
            credentials,
            environment: AwsEnvironment::new(surroundings.variable),
        });
        Ok(Self::S3 { options, name })
    }

    /// Takes the attributes of `type=gha`.
    pub(super) fn take_actions(
        attributes: &mut Attributes,
        surroundings: &Surroundings<'_>,
    ) -> Result<Self, CacheSpecError> {
        if attributes.take("url")?.is_some() {
            return Err(CacheSpecError::Unsupported(
                "version 1 of GitHub's cache service (`url`; give `url_v2`)",
            ));
        }
        let mut take = |key: &'static str, variable: &'static str| {
            let given = attributes.take(key)?.or_else(|| (surroundings.variable)(variable));
            given.ok_or(CacheSpecError::Unset { key, variable })
        };
        let options = ActionsOptions {
            url: take("url_v2", "ACTIONS_RESULTS_URL")?,
            token: Secret::new(take("token", "ACTIONS_RUNTIME_TOKEN")?),
            scope: attributes.take("scope")?.unwrap_or_else(|| DEFAULT_NAME.to_owned()),
        };
        let repository = (surroundings.variable)("GITHUB_REPOSITORY").unwrap_or_default();
        Ok(Self::Actions { options, repository })
    }

    /// Returns what tells the cache from others in the same store.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::S3 { name, .. } => name,
            Self::Actions { options, .. } => &options.scope,
        }
    }

    /// Returns what tells the cache from all others, whosever they are. Credentials do not.
    pub(super) fn identity(&self) -> String {
        match self {
            Self::S3 { options, .. } => {
                let server = options.endpoint.as_deref().unwrap_or(&options.region);
                format!("s3 {server} {} {} {}", options.bucket, options.documents, options.blobs)
            }
            Self::Actions { options, repository } => format!("gha {} {repository} {}", options.url, options.scope),
        }
    }

    /// Opens the store; nothing is asked.
    ///
    /// # Errors
    /// If its address is none.
    pub fn open(&self, client: &Client) -> Result<ObjectStore, ClientError> {
        match self {
            Self::S3 { options, .. } => client.s3((**options).clone()),
            Self::Actions { options, .. } => client.actions_cache(options.clone()),
        }
    }
}

/// For people: where it is, without any credential.
impl fmt::Display for ObjectPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { options, .. } => write!(f, "s3://{}/{}", options.bucket, options.documents),
            Self::Actions { options, .. } => write!(f, "gha:{}", options.scope),
        }
    }
}

impl ObjectCache {
    /// Uses a store.
    pub fn new(store: ObjectStore) -> Self {
        Self { store }
    }

    /// Returns the store.
    pub fn store(&self) -> &ObjectStore {
        &self.store
    }

    /// Returns where layers of the cache can be had.
    pub fn origin(&self) -> Origin {
        Origin::Objects(self.store.to_string())
    }

    /// Returns the record under a key.
    ///
    /// # Errors
    /// If the store cannot be asked, or what it has is not the entry of the key.
    pub async fn lookup(&self, key: CacheKey) -> Result<Option<Record>, RemoteCacheError> {
        let Some(bytes) = self.store.document(&key.hex()).await? else {
            return Ok(None);
        };
        let damaged = || RemoteCacheError::entry(key);
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| damaged()(error.into()))?;
        if !is_ours(&manifest) {
            return Err(RemoteCacheError::Foreign {
                name: self.store.to_string(),
                what: Foreign::Other,
            });
        }
        let config = match embedded_config(&manifest) {
            Some(config) => config,
            None => {
                let mut config = Vec::new();
                let fetched = self.store.fetch_blob(&manifest.config, &mut config, &|_| {}).await;
                fetched.map(|()| config)?
            }
        };
        let ReadEntry { entry, blobs } = read_entry(&manifest, &config).map_err(damaged())?;
        if !entry.keys.contains(&key) {
            return Err(damaged()(EntryError::OtherKey(key)));
        }
        Ok(Some(entry.record(&blobs, &self.origin()).map_err(damaged())?))
    }

    /// Returns whether an entry is there under all of these keys.
    ///
    /// # Errors
    /// If the store cannot be asked.
    pub async fn has(&self, keys: &[CacheKey]) -> Result<bool, RemoteCacheError> {
        let there = keys.iter().map(async |key| self.store.has_document(&key.hex()).await);
        Ok(try_join_all(there).await?.into_iter().all(|is_there| is_there))
    }

    /// Puts an entry under its keys; its layers must have been put.
    ///
    /// # Errors
    /// If the store refuses.
    pub async fn publish(&self, image: &EntryImage, keys: &[CacheKey]) -> Result<(), RemoteCacheError> {
        let bytes = Bytes::from(image.manifest.bytes.clone());
        let config = &image.config;
        if !image.is_self_contained() && !self.store.has_blob(config.descriptor.digest).await? {
            let source = BlobSource::Bytes(config.bytes.clone().into());
            self.store.put_blob(&config.descriptor, source, &|_| {}).await?;
        }
        let puts = keys
            .iter()
            .map(async |key| self.store.put_document(&key.hex(), bytes.clone()).await);
        try_join_all(puts).await?;
        Ok(())
    }
}
