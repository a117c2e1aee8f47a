//! S3: a bucket, addresses signed with version 4 of AWS's signature, and one request for each thing.
//!
//! Blobs have the names that BuildKit gives them, so that both may share a bucket. What is put is checked by the server:
//! its SHA-256 is a signed header.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use rusty_s3::actions::{GetObject, HeadObject, PutObject};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use tokio::sync::OnceCell;

use super::aws::{self, AwsCredentials, AwsEnvironment};
use super::{Ask, Http, blob_name, service};
use crate::client::body::{BlobSource, Payload};
use crate::client::error::ClientError;
use crate::client::meter::Progress;
use crate::oci::{Descriptor, Digest};

/// What to do when S3 says no.
pub(super) const CHECK: &str = "check the bucket's name and region, and that these credentials may get, put and list \
                                objects in it: without the last, S3 answers the same for what does not exist";
/// How long a signature is good for: S3 checks it when the request begins.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);
/// The largest object that is put in one request, in bytes.
const LARGEST: u64 = 5 << 30;
/// The header in which S3 is told what it will get.
const CHECKSUM: &str = "x-amz-checksum-sha256";

/// What it takes to use a bucket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct S3Options {
    /// The bucket's name.
    pub bucket: String,
    /// Its region.
    pub region: String,
    /// Another server than AWS's, as a URL.
    pub endpoint: Option<String>,
    /// Whether the bucket's name stands in the path and not in the host's name.
    pub path_style: bool,
    /// What the names of documents begin with.
    pub documents: String,
    /// What the names of blobs begin with.
    pub blobs: String,
    /// The credentials; otherwise those of the environment.
    pub credentials: Option<AwsCredentials>,
    /// Where credentials are if none are given.
    pub environment: AwsEnvironment,
}

/// A bucket.
#[derive(Debug)]
pub(super) struct S3 {
    bucket: Bucket,
    documents: String,
    blobs: String,
    given: Option<AwsCredentials>,
    environment: AwsEnvironment,
    credentials: OnceCell<Credentials>,
}

impl S3 {
    pub(super) fn new(options: S3Options) -> Result<Self, ClientError> {
        let endpoint = match &options.endpoint {
            Some(endpoint) => service(endpoint)?,
            None => service(&format!("https://s3.{}.amazonaws.com", options.region))?,
        };
        let style = if options.path_style {
            UrlStyle::Path
        } else {
            UrlStyle::VirtualHost
        };
        let unusable = |error: rusty_s3::BucketError| ClientError::Setup {
            registry: endpoint.to_string(),
            source: error.to_string().into(),
        };
        Ok(Self {
            bucket: Bucket::new(endpoint.clone(), style, options.bucket, options.region).map_err(unusable)?,
            documents: options.documents,
            blobs: options.blobs,
            given: options.credentials,
            environment: options.environment,
            credentials: OnceCell::new(),
        })
    }

    /// Makes sure that there are credentials to sign with.
    pub(super) async fn sign_in(&self, http: &Http) -> Result<(), ClientError> {
        let found = self.credentials.get_or_try_init(|| async {
            let credentials = match &self.given {
                Some(given) => given.clone(),
                None => aws::find(http, &self.environment, self.bucket.region()).await?,
            };
            Ok::<_, ClientError>(credentials.into_rusty())
        });
        found.await.map(drop)
    }

    pub(super) async fn document(&self, http: &Http, name: &str) -> Result<Option<Bytes>, ClientError> {
        self.sign_in(http).await?;
        let name = format!("{}{name}", self.documents);
        let (response, bytes) = http.fetch(&Ask::new(Method::GET), || self.get(&name)).await?;
        if response.status().is_success() {
            return Ok(Some(bytes));
        }
        match http.refusal(response, CHECK, &name).await {
            // A bucket that is missing is another matter than an object.
            ClientError::NotFound { refusal, .. } if !refusal.has_code("NoSuchBucket") => Ok(None),
            error => Err(error),
        }
    }

    pub(super) async fn has_document(&self, http: &Http, name: &str) -> Result<bool, ClientError> {
        self.has(http, &format!("{}{name}", self.documents)).await
    }

    pub(super) async fn put_document(&self, http: &Http, name: &str, bytes: Bytes) -> Result<(), ClientError> {
        self.sign_in(http).await?;
        let name = format!("{}{name}", self.documents);
        let digest = Digest::of(&bytes);
        self.put(http, &name, digest, Payload::Bytes(bytes), None).await
    }

    pub(super) async fn has_blob(&self, http: &Http, digest: Digest) -> Result<bool, ClientError> {
        self.has(http, &self.blob_name(digest)).await
    }

    pub(super) async fn put_blob(
        &self,
        http: &Http,
        blob: &Descriptor,
        source: &BlobSource,
        progress: Progress<'_>,
    ) -> Result<(), ClientError> {
        if blob.size > LARGEST {
            return Err(ClientError::TooLarge {
                what: blob_name(blob.digest),
                limit: LARGEST,
            });
        }
        self.sign_in(http).await?;
        let payload = Payload::Part(source, 0..blob.size);
        let name = self.blob_name(blob.digest);
        self.put(http, &name, blob.digest, payload, Some(progress)).await
    }

    /// Returns an address from which a blob can be had for some minutes.
    pub(super) fn blob_url(&self, digest: Digest) -> Url {
        self.get(&self.blob_name(digest))
    }

    fn blob_name(&self, digest: Digest) -> String {
        format!("{}{digest}", self.blobs)
    }

    fn get(&self, name: &str) -> Url {
        GetObject::new(&self.bucket, self.credentials.get(), name).sign(SIGNED_FOR)
    }

    async fn has(&self, http: &Http, name: &str) -> Result<bool, ClientError> {
        self.sign_in(http).await?;
        let address = || HeadObject::new(&self.bucket, self.credentials.get(), name).sign(SIGNED_FOR);
        let response = http.ask(&Ask::new(Method::HEAD), address).await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            // A HEAD has no words: whether the bucket is there is seen when something is put.
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(http.refusal(response, CHECK, name).await),
        }
    }

    async fn put(
        &self,
        http: &Http,
        name: &str,
        digest: Digest,
        payload: Payload<'_>,
        progress: Option<Progress<'_>>,
    ) -> Result<(), ClientError> {
        let checksum = BASE64.encode(digest.as_bytes());
        let headers = [
            (HeaderName::from_static(CHECKSUM), HeaderValue::try_from(&checksum)),
            (CONTENT_TYPE, Ok(HeaderValue::from_static("application/octet-stream"))),
        ];
        let headers = headers
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.ok()?)));
        let ask = Ask {
            headers: headers.collect::<HeaderMap>(),
            payload,
            progress,
            ..Ask::new(Method::PUT)
        };
        let address = || {
            let mut action = PutObject::new(&self.bucket, self.credentials.get(), name);
            action.headers_mut().insert(CHECKSUM, checksum.as_str());
            action.sign(SIGNED_FOR)
        };
        let response = http.ask(&ask, address).await?;
        if response.status().is_success() {
            return Ok(());
        }
        Err(http.refusal(response, CHECK, name).await)
    }
}

impl fmt::Display for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.bucket.base_url(), self.documents)
    }
}
