//! One request and its answer: the socket, TLS by host, time limits and redirects. No retries, no challenges.
//!
//! Three HTTP clients are made when first needed, because loading the system's certificates costs more than a
//! whole cached build: one for loopback and the machine's own link (no proxy), one that verifies certificates, one that does not.

use std::collections::BTreeSet;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};

use super::body::{Meter, Patience, Payload, Progress};
use super::error::{ClientError, ProtocolError, RequestLine};
use super::redirect::{self, MOST_REDIRECTS};
use super::tls;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the words of a refusal may take.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends requests.
#[derive(Debug)]
pub(super) struct Transport {
    user_agent: String,
    insecure: BTreeSet<String>,
    extra_ca: Vec<PathBuf>,
    patience: Patience,
    loopback: OnceLock<reqwest::Client>,
    verified: OnceLock<reqwest::Client>,
    unverified: OnceLock<reqwest::Client>,
}

/// A request, complete but for what belongs to a try.
#[derive(Debug)]
pub(super) struct Exchange<'a> {
    pub(super) method: &'a Method,
    pub(super) url: &'a Url,
    pub(super) headers: &'a HeaderMap,
    /// Belongs to the origin of `url`; a redirect to another one loses it.
    pub(super) authorization: Option<&'a HeaderValue>,
    pub(super) payload: &'a Payload<'a>,
}

/// An answer whose body is not yet read.
#[derive(Debug)]
pub(super) struct Response {
    inner: reqwest::Response,
    line: RequestLine,
    idle: Duration,
}

impl Transport {
    pub(super) fn new(
        user_agent: String,
        insecure: BTreeSet<String>,
        extra_ca: Vec<PathBuf>,
        patience: Patience,
    ) -> Self {
        let (loopback, verified, unverified) = Default::default();
        Self {
            user_agent,
            insecure,
            extra_ca,
            patience,
            loopback,
            verified,
            unverified,
        }
    }

    /// Sends a request and follows redirects.
    pub(super) async fn send(
        &self,
        exchange: Exchange<'_>,
        progress: Option<Progress<'_>>,
    ) -> Result<Response, ClientError> {
        let mut url = exchange.url.clone();
        let mut authorization = exchange.authorization;
        for _ in 0..=MOST_REDIRECTS {
            let response = self
                .send_once(
                    &Exchange {
                        url: &url,
                        authorization,
                        ..exchange
                    },
                    progress,
                )
                .await?;
            if !redirect::is_redirect(exchange.method, response.status()) {
                return Ok(response);
            }
            let next = response.location()?;
            if next.origin() != url.origin() {
                authorization = None;
            }
            url = next;
        }
        let request = RequestLine::new(exchange.method, exchange.url);
        Err(ClientError::Protocol {
            request,
            source: ProtocolError::TooManyRedirects(MOST_REDIRECTS),
        })
    }

    /// Sends a request and returns whatever is answered.
    pub(super) async fn send_once(
        &self,
        exchange: &Exchange<'_>,
        progress: Option<Progress<'_>>,
    ) -> Result<Response, ClientError> {
        let Exchange {
            method,
            url,
            headers,
            authorization,
            payload,
        } = *exchange;
        let line = RequestLine::new(method, url);
        let meter = Meter::default();
        let mut request = self
            .client(url)?
            .request(method.clone(), url.clone())
            .headers(headers.clone());
        // What is digested must come as it is stored, whatever a proxy would like to do to it.
        request = request.header(ACCEPT_ENCODING, "identity");
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            request = request
                .header(CONTENT_LENGTH, payload.len())
                .body(payload.open(&meter).await?);
        }
        tracing::trace!(request = %line, bytes = payload.len(), "sending");
        let patience = match *method {
            Method::GET | Method::HEAD => Patience {
                answer: self.patience.idle,
                ..self.patience
            },
            _ => self.patience,
        };
        let outcome = meter.watch(request.send(), payload.len(), patience, progress).await;
        let inner = match outcome {
            Err(limit) => return Err(ClientError::Stalled { request: line, limit }),
            Ok(Err(error)) => {
                return Err(match (meter.failure(), payload) {
                    (Some(source), Payload::Part(super::BlobSource::File(path), _)) => ClientError::Source {
                        path: path.clone(),
                        source,
                    },
                    _ => transport_error(line, error),
                });
            }
            Ok(Ok(inner)) => inner,
        };
        tracing::debug!(request = %line, status = inner.status().as_u16(), "answered");
        Ok(Response {
            inner,
            line,
            idle: self.patience.idle,
        })
    }

    /// Makes the HTTP client that verifies certificates, which loads those that are believed.
    pub(super) fn load_certificates(&self) -> Result<(), ClientError> {
        const NO_HOST: &str = "";
        let tls = || tls::verified(NO_HOST, &self.extra_ca);
        self.make(&self.verified, NO_HOST, tls, false).map(drop)
    }

    /// Returns the HTTP client for the host of `url`.
    fn client(&self, url: &Url) -> Result<&reqwest::Client, ClientError> {
        let host = url.host_str().unwrap_or_default();
        let with_port = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
        let insecure = self.insecure.contains(host) && url.port().is_none() || self.insecure.contains(&with_port);
        if insecure {
            let cell = if is_loopback(url) {
                &self.loopback
            } else {
                &self.unverified
            };
            return self.make(cell, host, || tls::unverified(host), is_loopback(url));
        }
        if (is_loopback(url) || is_link_local(url)) && url.scheme() == "http" {
            return self.make(&self.loopback, host, || tls::unverified(host), true);
        }
        self.make(&self.verified, host, || tls::verified(host, &self.extra_ca), false)
    }

    fn make<'a>(
        &self,
        cell: &'a OnceLock<reqwest::Client>,
        host: &str,
        tls: impl FnOnce() -> Result<rustls::ClientConfig, ClientError>,
        direct: bool,
    ) -> Result<&'a reqwest::Client, ClientError> {
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(&self.user_agent)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .tls_backend_preconfigured(tls()?);
        if direct {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|e| ClientError::Setup {
            registry: host.to_owned(),
            source: e.into(),
        })?;
        Ok(cell.get_or_init(|| client))
    }
}

/// Tells whether a URL leads to this machine by a literal address or the name `localhost`.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Tells whether a URL leads to this machine's own link by a literal address: there the clouds tell machines who they
/// are, which is no proxy's business.
fn is_link_local(url: &Url) -> bool {
    let address = url.host_str().unwrap_or_default().parse::<Ipv4Addr>();
    address.is_ok_and(|address| address.is_link_local())
}

impl Response {
    pub(super) fn status(&self) -> StatusCode {
        self.inner.status()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// Returns a header that is text.
    pub(super) fn header(&self, name: impl reqwest::header::AsHeaderName) -> Option<&str> {
        self.inner.headers().get(name)?.to_str().ok()
    }

    /// Returns where the answer came from, after redirects.
    pub(super) fn url(&self) -> &Url {
        self.inner.url()
    }

    pub(super) fn request(&self) -> &RequestLine {
        &self.line
    }

    /// Returns the body's length in bytes, if it was announced.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.header(CONTENT_LENGTH)?.parse().ok()
    }

    /// Returns where the answer leads.
    pub(super) fn location(&self) -> Result<Url, ClientError> {
        redirect::location(self.url(), self.headers()).map_err(|source| ClientError::Protocol {
            request: self.line.clone(),
            source,
        })
    }

    /// Returns the next piece of the body.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        match tokio::time::timeout(self.idle, self.inner.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(e)) => Err(transport_error(self.line.clone(), e)),
            Err(_) => Err(ClientError::Stalled {
                request: self.line.clone(),
                limit: self.idle,
            }),
        }
    }

    /// Returns the body, which must not be longer than `limit` bytes; `what` names it in messages.
    pub(super) async fn body(&mut self, limit: u64, what: &str) -> Result<Bytes, ClientError> {
        let too_large = || ClientError::TooLarge {
            what: what.to_owned(),
            limit,
        };
        if self.content_length().is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if (body.len() + chunk.len()) as u64 > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// Returns as much of the body as comes, up to `limit` bytes: the words of a refusal.
    pub(super) async fn prefix(&mut self, limit: u64) -> Bytes {
        let mut body = BytesMut::new();
        let read = async {
            while let Ok(Some(chunk)) = self.chunk().await {
                let room = (limit as usize).saturating_sub(body.len());
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() >= room {
                    break;
                }
            }
        };
        // Words that come drop by drop are not worth the wait; those that came are kept.
        let _late = tokio::time::timeout(REFUSAL_TIMEOUT, read).await;
        body.freeze()
    }
}

/// Sorts an HTTP error by what can be done about it.
fn transport_error(request: RequestLine, error: reqwest::Error) -> ClientError {
    // The URL may hold a signature, and is told by `request` already.
    let error = error.without_url();
    let is_tls = has_tls_cause(&error);
    let is_connect = error.is_connect();
    let source = error.into();
    match (is_tls, is_connect) {
        (true, true) => ClientError::Tls { request, source },
        (_, true) => ClientError::Connect { request, source },
        _ => ClientError::Broken { request, source },
    }
}

/// Tells whether TLS is among the causes of an error. Where an I/O error wraps another one, `source` skips the
/// wrapped one and goes on with its causes.
fn has_tls_cause(error: &(dyn Error + 'static)) -> bool {
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>()
        || wrapped.is_some_and(|wrapped| has_tls_cause(wrapped))
        || error.source().is_some_and(has_tls_cause)
}
