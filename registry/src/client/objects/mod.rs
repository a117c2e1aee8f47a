//! Stores of objects that are no registries: what a build cache needs of S3 and of GitHub's cache service.
//!
//! A store holds two kinds of objects. *Blobs* are named by their digest and never change. *Documents* are small and have
//! a name; of several that were put under one name the last counts, and nobody has to read before he writes.
//!
//! The rules of the registry client hold here too: bytes are believed only when their digest is right, a credential goes
//! to its own service only, every read is bounded, every wait ends. Redirects are not followed: nothing that is signed
//! for one place is sent to another.

mod actions;
mod aws;
mod s3;

use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};

use super::Client;
use super::body::{BlobSource, Payload};
use super::clients::is_loopback;
use super::error::{ClientError, ProtocolError, RequestLine};
use super::meter::Progress;
use super::pull::{BlobSink, Download};
use super::refusal::{Access, BODY_LIMIT, CredentialUse, Refusal};
use super::session::Session;
use super::transport::Exchange;
use super::transport::Response;
use crate::oci::{Descriptor, Digest};

pub use actions::ActionsOptions;
pub use aws::{AwsCredentials, AwsEnvironment};
pub use s3::S3Options;

use actions::Actions;
use s3::S3;

/// The longest document, in bytes.
const DOCUMENT_LIMIT: u64 = 4 << 20;

/// A store of objects; clones share connections.
#[derive(Clone, Debug)]
pub struct ObjectStore {
    http: Http,
    kind: Arc<Kind>,
}

#[derive(Debug)]
enum Kind {
    S3(Box<S3>),
    Actions(Actions),
}

/// Sends requests with the patience of a client.
#[derive(Clone, Debug)]
struct Http(Arc<Session>);

/// A request, complete but for its address: that may hold a signature, which is made anew for every try.
struct Ask<'a> {
    method: Method,
    headers: HeaderMap,
    authorization: Option<HeaderValue>,
    payload: Payload<'a>,
    progress: Option<Progress<'a>>,
}

impl Client {
    /// Opens a bucket of S3, or of a server that speaks its protocol; nothing is asked yet.
    ///
    /// # Errors
    /// If its address makes no URL.
    pub fn s3(&self, options: S3Options) -> Result<ObjectStore, ClientError> {
        Ok(ObjectStore {
            http: Http(Arc::clone(&self.session)),
            kind: Arc::new(Kind::S3(Box::new(S3::new(options)?))),
        })
    }

    /// Opens GitHub's cache service; nothing is asked yet.
    ///
    /// # Errors
    /// If its address is no URL, or not one that may be told a token.
    pub fn actions_cache(&self, options: ActionsOptions) -> Result<ObjectStore, ClientError> {
        Ok(ObjectStore {
            http: Http(Arc::clone(&self.session)),
            kind: Arc::new(Kind::Actions(Actions::new(options)?)),
        })
    }
}

impl ObjectStore {
    /// Returns the last document that was put under a name.
    ///
    /// # Errors
    /// If the store cannot be asked, or refuses.
    pub async fn document(&self, name: &str) -> Result<Option<Bytes>, ClientError> {
        match &*self.kind {
            Kind::S3(s3) => s3.document(&self.http, name).await,
            Kind::Actions(actions) => actions.document(&self.http, name).await,
        }
    }

    /// Returns whether there is a document of a name.
    ///
    /// # Errors
    /// If the store cannot be asked, or refuses.
    pub async fn has_document(&self, name: &str) -> Result<bool, ClientError> {
        match &*self.kind {
            Kind::S3(s3) => s3.has_document(&self.http, name).await,
            Kind::Actions(actions) => actions.has_document(&self.http, name).await,
        }
    }

    /// Puts a document under a name, in place of what was there.
    ///
    /// # Errors
    /// If the store cannot be asked, or refuses.
    pub async fn put_document(&self, name: &str, bytes: Bytes) -> Result<(), ClientError> {
        match &*self.kind {
            Kind::S3(s3) => s3.put_document(&self.http, name, bytes).await,
            Kind::Actions(actions) => actions.put_document(&self.http, name, bytes).await,
        }
    }

    /// Returns whether there is a blob.
    ///
    /// # Errors
    /// If the store cannot be asked, or refuses.
    pub async fn has_blob(&self, digest: Digest) -> Result<bool, ClientError> {
        match &*self.kind {
            Kind::S3(s3) => s3.has_blob(&self.http, digest).await,
            Kind::Actions(actions) => actions.has_blob(&self.http, digest).await,
        }
    }

    /// Puts a blob. The source is read again for every try.
    ///
    /// # Errors
    /// If the store cannot be asked, or refuses.
    pub async fn put_blob(
        &self,
        blob: &Descriptor,
        source: BlobSource,
        progress: Progress<'_>,
    ) -> Result<(), ClientError> {
        match &*self.kind {
            Kind::S3(s3) => s3.put_blob(&self.http, blob, &source, progress).await,
            Kind::Actions(actions) => actions.put_blob(&self.http, blob, &source, progress).await,
        }
    }

    /// Fetches a blob into `sink`, as [`Client::fetch_blob`] does.
    ///
    /// # Errors
    /// If it is not there, not what its digest says, or the store cannot be asked.
    pub async fn fetch_blob(
        &self,
        blob: &Descriptor,
        sink: &mut dyn BlobSink,
        progress: Progress<'_>,
    ) -> Result<(), ClientError> {
        let url = match &*self.kind {
            Kind::S3(s3) => {
                s3.sign_in(&self.http).await?;
                None
            }
            Kind::Actions(actions) => Some(actions.blob_url(&self.http, blob.digest).await?),
        };
        let address = || match (&url, &*self.kind) {
            (Some(url), _) => url.clone(),
            (None, Kind::S3(s3)) => s3.blob_url(blob.digest),
            (None, Kind::Actions(actions)) => actions.address().clone(),
        };
        let mut download = Download::new(blob, &self.to_string());
        let mut tries = self.http.0.retry.tries(&address());
        loop {
            let ask = Ask {
                headers: download.range(),
                ..Ask::new(Method::GET)
            };
            let mut response = self.http.ask(&ask, address).await?;
            let Some(skip) = download.start(&response)? else {
                return Err(self.http.refusal(response, self.check(), &blob_name(blob.digest)).await);
            };
            let error = match download.receive(&mut response, skip, sink, progress).await {
                Ok(()) => return download.verify(),
                Err(error) => error,
            };
            tries.reached(download.offset());
            match tries.after_error(&error) {
                None => return Err(error),
                Some(delay) => tokio::time::sleep(delay).await,
            }
        }
    }

    fn check(&self) -> &'static str {
        match &*self.kind {
            Kind::S3(_) => s3::CHECK,
            Kind::Actions(_) => actions::CHECK,
        }
    }
}

/// For people: where the store is, without any credential.
impl std::fmt::Display for ObjectStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &*self.kind {
            Kind::S3(s3) => s3.fmt(f),
            Kind::Actions(actions) => actions.fmt(f),
        }
    }
}

impl Ask<'_> {
    fn new(method: Method) -> Self {
        Self {
            method,
            headers: HeaderMap::new(),
            authorization: None,
            payload: Payload::Empty,
            progress: None,
        }
    }
}

impl Http {
    /// Sends a request, again where that may help, and returns whatever is answered in the end.
    async fn ask(&self, ask: &Ask<'_>, address: impl Fn() -> Url) -> Result<Response, ClientError> {
        let mut tries = self.0.retry.tries(&address());
        loop {
            tries.turn().await;
            let url = address();
            let exchange = Exchange {
                method: &ask.method,
                url: &url,
                headers: &ask.headers,
                authorization: ask.authorization.as_ref(),
                payload: &ask.payload,
            };
            let outcome = self.0.transport.send_once(&exchange, ask.progress).await;
            match tries.after(&outcome) {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return outcome,
            }
        }
    }

    /// The same for a small body: returns it with the status, and asks again if it breaks off.
    async fn fetch(&self, ask: &Ask<'_>, address: impl Fn() -> Url) -> Result<(Response, Bytes), ClientError> {
        let mut tries = self.0.retry.tries(&address());
        loop {
            let mut response = self.ask(ask, &address).await?;
            if !response.status().is_success() {
                return Ok((response, Bytes::new()));
            }
            let error = match response.body(DOCUMENT_LIMIT, "an answer").await {
                Ok(body) => return Ok((response, body)),
                Err(error) => error,
            };
            match tries.after_error(&error) {
                None => return Err(error),
                Some(delay) => tokio::time::sleep(delay).await,
            }
        }
    }

    /// Makes the error of an answer that says no to a request for `what`; `check` is what to do about a 403.
    async fn refusal(&self, mut response: Response, check: &'static str, what: &str) -> ClientError {
        let body = response.prefix(BODY_LIMIT).await;
        let access = Access {
            registry: response.url().host_str().unwrap_or_default().to_owned(),
            credentials: CredentialUse::Given(check),
            ..Access::default()
        };
        let status = response.status();
        let refusal = Refusal::new(response.request().clone(), status, &body, access);
        match status {
            StatusCode::NOT_FOUND => ClientError::NotFound {
                what: what.to_owned(),
                refusal: Box::new(refusal),
            },
            _ => refusal.into_error(),
        }
    }
}

fn blob_name(digest: Digest) -> String {
    format!("the blob {digest}")
}

/// Reads the address of a service that is told credentials: https, or plain HTTP on this machine.
fn service(text: &str) -> Result<Url, ClientError> {
    let url = Url::parse(text).ok().filter(Url::has_host);
    let is_safe = |url: &Url| url.scheme() == "https" || url.scheme() == "http" && is_loopback(url);
    url.filter(is_safe).ok_or_else(|| ClientError::Setup {
        registry: crate::text::one_line(text),
        source: "it is no https URL".into(),
    })
}

/// Makes the error of an answer that is none.
fn no_answer(request: &RequestLine) -> ClientError {
    ClientError::Protocol {
        request: request.clone(),
        source: ProtocolError::Answer,
    }
}
