//! The registry client: resolving, pulling and pushing (distribution-spec v1.1).
//!
//! Bottom-up: `redirect`, `retry`, `refusal`, `proxy` and `mirrors` are rules without I/O; `transport` sends one request
//! (`tls`, `clients`, `meter`, `made`, `body`); `endpoint` and `authorize` know each registry; `session` joins them to a request
//! as the protocol means it; `resolve`, `pull`, `push` (`upload`, `stream`), `tags` and `referrers` are what callers want. `web` is
//! for files of servers that are no registries, `objects` for stores of objects.
//!
//! Three rules hold everywhere: received bytes are believed only when their own digest is right; a credential
//! goes to the registry's origin and its own token service only; every read is bounded, every wait ends.

mod redirect;
mod refusal;
mod error;
mod hint;
mod retry;
mod proxy;
mod mirrors;
mod x509;
mod verifier;
mod certificates;
mod tls;
mod meter;
mod made;
mod body;
mod clients;
mod transport;
mod endpoint;
mod authorize;
mod session;
mod manifest;
mod platform;
mod resolve;
mod pull;
mod upload_session;
mod upload;
mod stream;
mod push;
mod tags;
mod referrers;
mod web;
mod objects;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod foreign;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Method, StatusCode};

use crate::auth::Credentials;
use crate::auth::scope::ScopeSet;
use authorize::Authorizer;
use clients::Ways;
use endpoint::Endpoints;
use meter::Patience;
use retry::Retry;
use session::{Call, Session};
use transport::Transport;

pub use body::BlobSource;
pub use error::{ClientError, ErrorKind, MalformedError, ProtocolError, RequestLine};
pub use made::BlobMaker;
pub use meter::Progress;
pub use mirrors::{Mirrors, MirrorsError};
pub use objects::{ActionsOptions, AwsCredentials, AwsEnvironment, ObjectStore, S3Options};
pub use platform::select as manifest_for;
pub use proxy::{Proxies, ProxyError};
pub use pull::BlobSink;
pub use push::Pushed;
pub use refusal::{ApiError, CredentialUse, Refusal};
pub use resolve::RemoteImage;
pub use retry::RetryPolicy;
pub use stream::Streamed;
pub use web::{Web, WebOptions, WebRequest, WebResponse};

/// What a client is told once.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Where credentials are looked for.
    pub credentials: Credentials,
    /// Registries (`host` or `host:port`) whose certificates are not checked and that may speak plain HTTP.
    pub insecure: BTreeSet<String>,
    /// PEM files of certificate authorities to believe beside the system's.
    pub extra_ca: Vec<PathBuf>,
    /// Directories with certificates of single registries, as `/etc/docker/certs.d`; they need not exist.
    pub certificate_dirs: Vec<PathBuf>,
    /// Proxies between us and other machines.
    pub proxies: Proxies,
    /// Where else images may be pulled from.
    pub mirrors: Mirrors,
    /// Hosts of token services that may be told passwords though they are not the registry's by name.
    pub trusted_realms: BTreeSet<String>,
    /// The `User-Agent` of every request.
    pub user_agent: String,
    /// How often and how long to try again.
    pub retry: RetryPolicy,
    /// How long nothing may move while bytes are on their way.
    pub idle_timeout: Duration,
    /// How long a registry may take to answer when it has got all bytes.
    pub answer_timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            credentials: Credentials::anonymous(),
            insecure: BTreeSet::new(),
            extra_ca: Vec::new(),
            certificate_dirs: Vec::new(),
            proxies: Proxies::default(),
            mirrors: Mirrors::default(),
            trusted_realms: BTreeSet::new(),
            user_agent: concat!("croze/", env!("CARGO_PKG_VERSION")).to_owned(),
            retry: RetryPolicy::default(),
            idle_timeout: Duration::from_secs(60),
            answer_timeout: Duration::from_secs(5 * 60),
        }
    }
}

/// A client of any number of registries; clones share connections, tokens and patience.
///
/// Making one costs nothing: connections, certificates and credentials are for the first request to load.
#[derive(Clone, Debug)]
pub struct Client {
    session: Arc<Session>,
}

impl Client {
    /// Makes a client.
    pub fn new(options: ClientOptions) -> Self {
        let mut insecure = options.insecure;
        insecure.extend(options.mirrors.insecure());
        let ways = Ways {
            user_agent: options.user_agent,
            insecure: insecure.clone(),
            extra_ca: options.extra_ca,
            certificate_dirs: options.certificate_dirs,
            proxies: options.proxies,
        };
        let patience = Patience {
            idle: options.idle_timeout,
            answer: options.answer_timeout,
        };
        let session = Session {
            transport: Arc::new(Transport::new(ways, patience)),
            authorizer: Arc::new(Authorizer::new(options.credentials, options.trusted_realms)),
            endpoints: Arc::new(Endpoints::new(insecure)),
            retry: Retry::new(options.retry),
            mirrors: Arc::new(options.mirrors),
            unreachable: Mutex::default(),
        };
        Self {
            session: Arc::new(session),
        }
    }

    /// Loads the certificates that are believed now, and not when a request first needs them: from then on it does not
    /// matter what becomes of the machine's files.
    pub fn load_certificates(&self) -> Result<(), ClientError> {
        self.session.transport.load_certificates()
    }

    /// Returns a client with other rules for trying again; connections and tokens are shared with this one.
    #[must_use]
    pub fn with_retry(&self, policy: RetryPolicy) -> Self {
        let session = Session {
            transport: Arc::clone(&self.session.transport),
            authorizer: Arc::clone(&self.session.authorizer),
            endpoints: Arc::clone(&self.session.endpoints),
            retry: Retry::new(policy),
            mirrors: Arc::clone(&self.session.mirrors),
            unreachable: Mutex::default(),
        };
        Self {
            session: Arc::new(session),
        }
    }

    /// Asks `registry` (as in references) who we are: fails unless it takes the credentials, or wants none.
    ///
    /// This is the check before a [`login`](crate::auth::login).
    pub async fn ping(&self, registry: &str) -> Result<(), ClientError> {
        let target = self
            .session
            .endpoints
            .target(&self.session.transport, registry, "")
            .await?;
        let call = Call::new(Method::GET, target.url(""), ScopeSet::default());
        let answer = self.session.call(&target, &call).await?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            // Some registries have no such page, which says nothing about who we are.
            StatusCode::NOT_FOUND => Ok(()),
            _ => Err(answer.into_error().await),
        }
    }
}
