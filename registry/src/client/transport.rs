//! One request and its answer: time limits and redirects. No retries, no challenges.

use std::error::Error;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};

use super::body::Payload;
use super::clients::{Clients, Ways};
use super::error::{ClientError, ProtocolError, RequestLine};
use super::meter::{Meter, Patience, Progress};
use super::redirect::{self, MOST_REDIRECTS};
use super::verifier::untrusted;

/// Fewer bytes a second than this, for as long as nothing may move, are as good as none.
const SLOWEST: u64 = 512;

/// How long the words of a refusal may take.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends requests.
#[derive(Debug)]
pub(super) struct Transport {
    clients: Clients,
    patience: Patience,
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
    /// How long was waited for bytes of late, and how many have come.
    waited: Duration,
    came: u64,
}

impl Transport {
    pub(super) fn new(ways: Ways, patience: Patience) -> Self {
        let clients = Clients::new(ways);
        Self { clients, patience }
    }

    /// Loads the certificates that are believed.
    pub(super) fn load_certificates(&self) -> Result<(), ClientError> {
        self.clients.load_certificates()
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
            .clients
            .of(url)?
            .request(method.clone(), url.clone())
            .headers(headers.clone());
        // What is digested must come as it is stored, whatever a proxy would like to do to it.
        request = request.header(ACCEPT_ENCODING, "identity");
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            if let Some(length) = payload.len() {
                request = request.header(CONTENT_LENGTH, length);
            }
            request = request.body(payload.open(&meter).await?);
        }
        tracing::trace!(request = %line, bytes = ?payload.len(), "sending");
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
                    (Some(source), Payload::Made(_)) => ClientError::Making { source },
                    _ => transport_error(line, error, self.clients.proxy(url)),
                });
            }
            Ok(Ok(inner)) => inner,
        };
        tracing::debug!(request = %line, status = inner.status().as_u16(), "answered");
        Ok(Response {
            inner,
            line,
            idle: self.patience.idle,
            waited: Duration::ZERO,
            came: 0,
        })
    }
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

    /// Returns the next piece of the body. What comes drop by drop is as good as still.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        let asked = Instant::now();
        let next = tokio::time::timeout(self.idle, self.inner.chunk()).await;
        // How long the receiver of the bytes takes is its own affair.
        self.waited += asked.elapsed();
        if self.waited >= self.idle {
            let slowest = SLOWEST * self.waited.as_millis() as u64 / 1000;
            if self.came < slowest && matches!(next, Ok(Ok(Some(_)))) {
                return Err(ClientError::Stalled {
                    request: self.line.clone(),
                    limit: self.idle,
                });
            }
            (self.waited, self.came) = (Duration::ZERO, 0);
        }
        match next {
            Ok(Ok(chunk)) => {
                self.came += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
                Ok(chunk)
            }
            Ok(Err(e)) => Err(transport_error(self.line.clone(), e, None)),
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

/// Sorts an HTTP error by what can be done about it; `proxy` is the one between us and the other end.
fn transport_error(request: RequestLine, error: reqwest::Error, proxy: Option<String>) -> ClientError {
    // The URL may hold a signature, and is told by `request` already.
    let error = error.without_url();
    if !error.is_connect() {
        let source = error.into();
        return ClientError::Broken { request, source };
    }
    if proxy.is_none() && names_nobody(&error) {
        let source = error.into();
        return ClientError::UnknownHost { request, source };
    }
    match (untrusted(&error), has_tls_cause(&error), proxy) {
        (Some(untrusted), ..) => ClientError::Tls {
            request,
            source: untrusted.into(),
        },
        (None, true, _) => ClientError::Tls {
            request,
            source: error.into(),
        },
        (None, false, Some(proxy)) => ClientError::Proxy {
            request,
            proxy,
            source: error.into(),
        },
        (None, false, None) => ClientError::Connect {
            request,
            source: error.into(),
        },
    }
}

/// Tells whether the name of the other end is known not to exist, as opposed to nobody being there to ask.
///
/// The standard library gives what `getaddrinfo` says as words only: those of glibc for `EAI_NONAME` and `EAI_NODATA`, and
/// of musl. All else, as `EAI_AGAIN`, may pass.
fn names_nobody(error: &(dyn Error + 'static)) -> bool {
    const FAILED: &str = "failed to lookup address information: ";
    const NOBODY: [&str; 4] = [
        "Name or service not known",
        "No address associated with hostname",
        "Name does not resolve",
        "Name has no usable address",
    ];
    let says_so = |text: &str| text.strip_prefix(FAILED).is_some_and(|why| NOBODY.contains(&why));
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| says_so(&error.to_string()))
        || error.source().is_some_and(names_nobody)
}

/// Tells whether TLS is among the causes of an error. Where an I/O error wraps another one, `source` skips the
/// wrapped one and goes on with its causes.
fn has_tls_cause(error: &(dyn Error + 'static)) -> bool {
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>()
        || wrapped.is_some_and(|wrapped| has_tls_cause(wrapped))
        || error.source().is_some_and(has_tls_cause)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn only_the_words_for_no_such_name_end_all_hope() {
        let says = |text: &str| {
            names_nobody(&io::Error::other(format!(
                "failed to lookup address information: {text}"
            )))
        };
        assert!(says("Name or service not known") && says("Name does not resolve"));
        assert!(!says("Temporary failure in name resolution") && !says("Try again"));
        assert!(!names_nobody(&io::Error::other("Name or service not known")));
        assert!(!names_nobody(&io::Error::from(io::ErrorKind::ConnectionRefused)));
    }
}
