//! Why talking to a registry failed: one enum, its kinds for exit codes, and a hint for most.
//!
//! Every variant that concerns a request names it by method and URL; the URL has lost its user and its query,
//! which may hold upload state or a signature. Foreign words have lost their control characters.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Method, Url};

use super::refusal::Refusal;
use crate::oci::{Digest, MediaType, Platform};

/// What a failure means to a caller, whatever its cause; exit codes follow it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// The registry could not be reached, or not for long enough; retries are spent.
    Network,
    /// The registry answered and would not, or broke the protocol.
    Registry,
    /// Who we are is unknown or not enough.
    Auth,
    /// Bytes are not what their name says, or an image is malformed.
    Integrity,
    /// The image, or its platform, is not there.
    NotFound,
    /// This machine is at fault: a file, a certificate, the receiver of the bytes.
    Local,
}

/// A request as it may be shown: the method, and the URL without user and query.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestLine {
    method: Method,
    url: String,
}

impl RequestLine {
    pub(super) fn new(method: &Method, url: &Url) -> Self {
        let mut shown = url.clone();
        shown.set_query(None);
        shown.set_fragment(None);
        // Only URLs without a host refuse this, and they have no user either.
        let _no_user = shown.set_username("").and_then(|()| shown.set_password(None));
        Self {
            method: method.clone(),
            url: shown.into(),
        }
    }

    /// Names a request whose address could not be read.
    pub(super) fn unread(method: &Method, address: &str) -> Self {
        Self {
            method: method.clone(),
            url: address.to_owned(),
        }
    }
}

impl fmt::Display for RequestLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{} {}`", self.method, self.url)
    }
}

impl fmt::Debug for RequestLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A failure of the registry client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection came about.
    #[error("cannot connect for {request}")]
    Connect {
        /// The request.
        request: RequestLine,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// There is no such host.
    #[error("there is no host of this name for {request}")]
    UnknownHost {
        /// The request.
        request: RequestLine,
        /// What the machine's resolver says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The proxy could not be reached, or gave no way to the other end.
    #[error("cannot connect for {request} through the proxy `{proxy}`")]
    Proxy {
        /// The request.
        request: RequestLine,
        /// The proxy, without user and password.
        proxy: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// TLS failed: a certificate that is not trusted, or no TLS at the other end.
    #[error("no trusted connection for {request}")]
    Tls {
        /// The request.
        request: RequestLine,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A connection broke.
    #[error("the connection broke during {request}")]
    Broken {
        /// The request.
        request: RequestLine,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Nothing moved for too long.
    #[error("nothing moved for {} s during {request}", limit.as_secs_f32())]
    Stalled {
        /// The request.
        request: RequestLine,
        /// How long it was waited.
        limit: Duration,
    },
    /// The registry wants to know who we are, or does not believe it (401).
    #[error("{0}")]
    Unauthorized(Box<Refusal>),
    /// The registry knows who we are, and that is not enough (403).
    #[error("{0}")]
    Denied(Box<Refusal>),
    /// Any other status that says no.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The tag exists and may not be moved.
    #[error("the tag cannot be moved: {0}")]
    TagImmutable(Box<Refusal>),
    /// The registry does not take manifests, configs or layers of this type.
    #[error("the registry does not take `{media_type}`: {refusal}")]
    MediaTypeRefused {
        /// The manifest's media type.
        media_type: MediaType,
        /// The answer.
        refusal: Box<Refusal>,
    },
    /// The manifest names a blob that the registry does not have.
    #[error("a blob of the manifest is missing in the registry: {0}")]
    BlobUnknown(Box<Refusal>),
    /// The registry says that it got other bytes than their digest names.
    #[error("the bytes that arrived have another digest: {0}")]
    DigestRefused(Box<Refusal>),
    /// The registry names a token service that could be anyone, or anything in the local network.
    #[error("`{registry}` names `{realm}` as its token service, which is not asked")]
    Realm {
        /// The registry.
        registry: String,
        /// The service as named, on one line.
        realm: String,
    },
    /// A token service answered with something else.
    #[error("{request} was answered with something that is no token")]
    NoToken {
        /// The request to the token service.
        request: RequestLine,
    },
    /// The manifest or blob is not there.
    #[error("`{what}` does not exist: {refusal}")]
    NotFound {
        /// The reference, or repository and digest.
        what: String,
        /// The answer.
        refusal: Box<Refusal>,
    },
    /// The configuration forbids images of this name.
    #[error("`{reference}` may not be pulled: `{prefix}` is blocked")]
    Blocked {
        /// The image.
        reference: String,
        /// What is blocked.
        prefix: String,
    },
    /// Other clients have overwritten a list again and again.
    #[error("the list of referrers `{reference}` is overwritten by others again and again")]
    Unlisted {
        /// The list.
        reference: String,
    },
    /// The image is not there for this platform.
    #[error("`{reference}` has no image for {wanted}; it has {}", list(available))]
    NoPlatform {
        /// The image.
        reference: String,
        /// The platform that was asked for.
        wanted: Box<Platform>,
        /// Those that are there.
        available: Vec<Platform>,
    },
    /// Bytes have another digest.
    #[error("{what} should have the digest `{expected}` but has `{actual}`")]
    Digest {
        /// Whose bytes, as in messages.
        what: String,
        /// As asked for.
        expected: Digest,
        /// As received, or as the registry says it received.
        actual: Digest,
    },
    /// There are more or fewer bytes; in bytes.
    #[error("{what} should have {expected} bytes but has {actual}")]
    Size {
        /// Whose bytes, as in messages.
        what: String,
        /// As the descriptor says, in bytes.
        expected: u64,
        /// What came, in bytes; at least this many if more were to come.
        actual: u64,
    },
    /// There are more bytes than any sane one has.
    #[error("{what} has more than {limit} bytes")]
    TooLarge {
        /// Whose bytes, as in messages.
        what: String,
        /// In bytes.
        limit: u64,
    },
    /// A manifest, index or config that cannot be what it claims to be.
    #[error("`{what}` is malformed")]
    Malformed {
        /// The reference.
        what: String,
        /// How.
        source: MalformedError,
    },
    /// The registry broke the protocol.
    #[error("{request} was answered against the protocol")]
    Protocol {
        /// The request.
        request: RequestLine,
        /// How.
        source: ProtocolError,
    },
    /// The blob to send could not be read.
    #[error("cannot read `{}`", path.display())]
    Source {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The blob could not be made while it was sent.
    #[error("cannot make the bytes of a blob")]
    Making {
        /// Why.
        source: io::Error,
    },
    /// The receiver of a blob refused its bytes.
    #[error("cannot keep the bytes of {digest}")]
    Sink {
        /// The blob.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
    /// A file of certificates cannot be used.
    #[error("cannot use the certificates in `{}`", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The HTTP client cannot be set up, or a URL cannot be made of the registry's name.
    #[error("cannot speak to `{registry}`")]
    Setup {
        /// The registry or host.
        registry: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// How a manifest, index or config is malformed.
#[derive(Debug, thiserror::Error)]
pub enum MalformedError {
    /// Not JSON, or not of this form.
    #[error("it is not the JSON of a manifest, index or config")]
    Json(#[source] serde_json::Error),
    /// `mediaType` and `Content-Type` disagree: readers would take it for different things.
    #[error("it says `{body}` in its body and `{header}` in its header")]
    TypesDiffer {
        /// `mediaType` of the body.
        body: String,
        /// `Content-Type` of the answer, or the type in the index that led here.
        header: String,
    },
    /// Fields of more than one type: readers would take it for different things.
    #[error("it has the fields of a manifest and of an index")]
    Ambiguous,
    /// The fields that the type requires are missing.
    #[error("it has not the fields of `{0}`")]
    FieldsMissing(MediaType),
    /// Docker's oldest manifests have no digests worth the name.
    #[error("it is a manifest of schema 1, which no longer is supported")]
    SchemaOne,
    /// A type that is neither manifest nor index.
    #[error("`{0}` is not the type of a manifest or index")]
    UnknownType(String),
    /// The config is of another type: a chart, a signature, a module.
    #[error("it is no container image: its config is `{0}`")]
    NotAnImage(MediaType),
    /// Indexes in indexes, without end.
    #[error("it is an index in an index in an index")]
    TooDeep,
}

/// How a registry broke the protocol.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// More redirects than anyone needs.
    #[error("more than {0} redirects")]
    TooManyRedirects(usize),
    /// A redirect or upload location leads from TLS to plain HTTP.
    #[error("it leads from https to http (`{0}`)")]
    Downgrade(String),
    /// A redirect or upload location is no usable URL.
    #[error("its location `{0}` is no http or https URL")]
    Location(String),
    /// A redirect leads from a public server to an address that only this machine or its link can reach.
    #[error("it leads to `{0}`, which is an address of this machine's own")]
    Inner(String),
    /// A redirect or upload location is missing.
    #[error("it has no location")]
    NoLocation,
    /// The token service sends elsewhere.
    #[error("it leads the token request to another server (`{0}`)")]
    TokenElsewhere(String),
    /// A body that is not the answer of the service that was asked.
    #[error("its body is not an answer to the question")]
    Answer,
    /// A range of bytes other than the one asked for.
    #[error("it has the range `{0}`, which was not asked for")]
    Range(String),
}

impl ClientError {
    /// Returns what the failure means to a caller.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Connect { .. } | Self::Proxy { .. } | Self::Tls { .. } | Self::Broken { .. } => ErrorKind::Network,
            Self::Stalled { .. } | Self::UnknownHost { .. } => ErrorKind::Network,
            Self::Blocked { .. } => ErrorKind::Auth,
            Self::Refused(refusal) if refusal.is_temporary() => ErrorKind::Network,
            Self::Refused(_) | Self::TagImmutable(_) | Self::BlobUnknown(_) | Self::MediaTypeRefused { .. } => {
                ErrorKind::Registry
            }
            Self::Protocol { .. } | Self::Unlisted { .. } => ErrorKind::Registry,
            Self::Unauthorized(_) | Self::Denied(_) | Self::Realm { .. } | Self::NoToken { .. } => ErrorKind::Auth,
            Self::NotFound { .. } | Self::NoPlatform { .. } => ErrorKind::NotFound,
            Self::Digest { .. } | Self::Size { .. } | Self::TooLarge { .. } => ErrorKind::Integrity,
            Self::Malformed { .. } | Self::DigestRefused(_) => ErrorKind::Integrity,
            Self::Source { .. } | Self::Making { .. } | Self::Sink { .. } => ErrorKind::Local,
            Self::Certificates { .. } | Self::Setup { .. } => ErrorKind::Local,
        }
    }

    /// Tells whether the same request may well succeed later.
    pub(super) fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. } | Self::Proxy { .. } | Self::Broken { .. } | Self::Stalled { .. }
        )
    }
}

fn list(platforms: &[Platform]) -> String {
    if platforms.is_empty() {
        return "none".to_owned();
    }
    platforms.iter().map(Platform::to_string).collect::<Vec<_>>().join(", ")
}
