//! Files of any web server: what `ADD https://…` and remote contexts need. No registry, no token service.
//!
//! The rules of the registry client hold here too (certificates, retries, time limits, no way back from https to
//! http), and two more: a credential goes to the origin that it was given for and to no other, and a redirect does
//! not lead a public server's answer to an address that only this machine or its link can reach.

use std::net::IpAddr;
use std::path::PathBuf;

use bytes::Bytes;
use reqwest::header::LAST_MODIFIED;
use reqwest::header::{ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use reqwest::{Method, Url};

use super::body::Payload;
use super::clients::Ways;
use super::error::{ClientError, ProtocolError, RequestLine};
use super::meter::Patience;
use super::proxy::Proxies;
use super::redirect;
use super::retry::Retry;
use super::transport::{Exchange, Response, Transport};
use super::{ClientOptions, RetryPolicy};
use crate::text::one_line;

/// How many redirects are followed.
const MOST_REDIRECTS: usize = 5;

/// A client of web servers; connections are made when first needed.
#[derive(Debug)]
pub struct Web {
    transport: Transport,
    retry: Retry,
}

/// What a client of web servers is told once.
#[derive(Clone, Default, Debug)]
pub struct WebOptions {
    /// PEM files of certificate authorities to believe beside the system's.
    pub extra_ca: Vec<PathBuf>,
    /// Proxies between us and other machines.
    pub proxies: Proxies,
    /// How often and how long to try again.
    pub retry: RetryPolicy,
}

/// What is asked of a web server.
#[derive(Clone, Default)]
pub struct WebRequest {
    /// The address, `http` or `https`.
    pub url: String,
    /// Whether only the headers are wanted.
    pub head: bool,
    /// Value of `Authorization`; sent to the origin of `url` only.
    pub authorization: Option<String>,
    /// The `ETag` of what is at hand.
    pub etag: Option<String>,
    /// The `Last-Modified` of what is at hand.
    pub last_modified: Option<String>,
}

/// An answer whose body is not yet read.
#[derive(Debug)]
pub struct WebResponse(Response);

impl Web {
    /// Makes a client.
    pub fn new(options: WebOptions) -> Self {
        let ClientOptions {
            user_agent,
            idle_timeout,
            answer_timeout,
            ..
        } = ClientOptions::default();
        let patience = Patience {
            idle: idle_timeout,
            answer: answer_timeout,
        };
        let ways = Ways {
            user_agent,
            extra_ca: options.extra_ca,
            proxies: options.proxies,
            ..Ways::default()
        };
        Self {
            transport: Transport::new(ways, patience),
            retry: Retry::new(options.retry),
        }
    }

    /// Asks, tries again where that may help, follows redirects, and returns whatever is answered in the end.
    ///
    /// # Errors
    /// If the address is none, the server cannot be reached, or a redirect leads where none may.
    pub async fn ask(&self, request: &WebRequest) -> Result<WebResponse, ClientError> {
        let method = if request.head { Method::HEAD } else { Method::GET };
        let mut url = address(&request.url, &method)?;
        let origin = url.origin();
        let headers = request.conditions();
        let authorization = request.authorization.as_deref().and_then(sensitive);
        for _ in 0..=MOST_REDIRECTS {
            let exchange = Exchange {
                method: &method,
                url: &url,
                headers: &headers,
                authorization: authorization.as_ref().filter(|_| url.origin() == origin),
                payload: &Payload::Empty,
            };
            let response = self.ask_once(&exchange).await?;
            if !redirect::is_redirect(&method, response.status()) {
                return Ok(WebResponse(response));
            }
            let next = response.location()?;
            if !is_inner(&url) && is_inner(&next) {
                let inner = next.host_str().unwrap_or_default().to_owned();
                return Err(ClientError::Protocol {
                    request: response.request().clone(),
                    source: ProtocolError::Inner(inner),
                });
            }
            url = next;
        }
        Err(ClientError::Protocol {
            request: RequestLine::new(&method, &url),
            source: ProtocolError::TooManyRedirects(MOST_REDIRECTS),
        })
    }

    async fn ask_once(&self, exchange: &Exchange<'_>) -> Result<Response, ClientError> {
        let mut tries = self.retry.tries(exchange.url);
        loop {
            tries.turn().await;
            let again = Exchange { ..*exchange };
            let outcome = self.transport.send_once(&again, None).await;
            match tries.after(&outcome) {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return outcome,
            }
        }
    }
}

impl WebRequest {
    fn conditions(&self) -> HeaderMap {
        let given = |name: HeaderName, value: &Option<String>| Some((name, value.as_deref()?.parse().ok()?));
        let conditions = [
            given(IF_NONE_MATCH, &self.etag),
            given(IF_MODIFIED_SINCE, &self.last_modified),
        ];
        conditions.into_iter().flatten().collect()
    }
}

impl WebResponse {
    /// Returns the status code.
    pub fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    /// Returns the `ETag`.
    pub fn etag(&self) -> Option<&str> {
        self.0.header(ETAG)
    }

    /// Returns when the file was last changed, as the server writes it.
    pub fn last_modified(&self) -> Option<&str> {
        self.0.header(LAST_MODIFIED)
    }

    /// Returns the length of the body in bytes, if it was announced.
    pub fn length(&self) -> Option<u64> {
        self.0.content_length()
    }

    /// Returns the next piece of the body.
    ///
    /// # Errors
    /// If the connection breaks or nothing moves for too long.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        self.0.chunk().await
    }
}

fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Reads an address as a redirect's would be: what is no http or https is none.
fn address(text: &str, method: &Method) -> Result<Url, ClientError> {
    let parsed = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"));
    let (shown, source) = (one_line(text), ProtocolError::Location(one_line(text)));
    parsed.filter(Url::has_host).ok_or_else(|| ClientError::Protocol {
        request: RequestLine::unread(method, &shown),
        source,
    })
}

/// Tells whether a literal address is one that only this machine or its link can reach.
fn is_inner(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => is_inner_v4(v4),
        Ok(IpAddr::V6(v6)) => match v6.to_ipv4_mapped() {
            Some(v4) => is_inner_v4(v4),
            None => v6.is_loopback() || v6.is_unspecified() || v6.is_unicast_link_local(),
        },
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

fn is_inner_v4(v4: std::net::Ipv4Addr) -> bool {
    v4.is_loopback() || v4.is_link_local() || v4.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_literal_addresses_of_this_machine_and_its_link_are_inner() {
        for (url, inner) in [
            ("http://169.254.169.254/latest", true),
            ("http://[::ffff:169.254.169.254]/", true),
            ("http://[fe80::1]/", true),
            ("http://127.1.2.3/", true),
            ("http://localhost/", true),
            ("http://0/", true),
            ("https://example.com/", false),
            ("https://10.0.0.1/", false),
        ] {
            assert_eq!(is_inner(&Url::parse(url).unwrap()), inner, "{url}");
        }
    }

    #[test]
    fn what_is_no_web_address_is_not_asked() {
        for text in ["file:///etc/passwd", "ftp://example.com/x", "no address"] {
            assert!(address(text, &Method::GET).is_err(), "{text}");
        }
    }
}
