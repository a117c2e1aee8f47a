//! Where a registry is: from the name in a reference to the base URL of its API.
//!
//! Docker Hub's API is on another host than its name. A literal loopback address and `localhost` are plain
//! HTTP; everything else is TLS, and never falls back, unless the user called it insecure: then TLS with any
//! certificate is tried first, plain HTTP second, as Docker does.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use tokio::sync::OnceCell;

use super::body::Payload;
use super::clients::is_loopback;
use super::error::ClientError;
use super::transport::{Exchange, Transport};
use crate::oci::Reference;

/// A repository at its registry.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// The registry's name as in references.
    pub(super) registry: String,
    /// The repository's path; empty for the registry as a whole.
    pub(super) repository: String,
    /// The URL that ends before `/v2/`.
    base: Url,
}

/// The endpoints found so far.
#[derive(Debug)]
pub(super) struct Endpoints {
    insecure: BTreeSet<String>,
    found: Mutex<HashMap<String, Arc<OnceCell<Url>>>>,
}

impl Target {
    /// Returns the registry's base URL; its origin is the one that credentials belong to.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// Returns the URL of `path` below the repository, or below `/v2/` without one.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        // Names, tags and digests are checked when they are parsed and need no escaping.
        url.set_path(&match self.repository.as_str() {
            "" => format!("/v2/{path}"),
            repository => format!("/v2/{repository}/{path}"),
        });
        url
    }

    /// Returns the same registry's other repository.
    pub(super) fn is_same_registry(&self, reference: &Reference) -> bool {
        self.registry == reference.registry()
    }
}

impl Endpoints {
    pub(super) fn new(insecure: BTreeSet<String>) -> Self {
        Self {
            insecure,
            found: Mutex::default(),
        }
    }

    /// Returns the place of a repository; asks an insecure registry once what it speaks.
    pub(super) async fn target(
        &self,
        transport: &Transport,
        registry: &str,
        repository: &str,
    ) -> Result<Target, ClientError> {
        let cell = {
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(found.entry(registry.to_owned()).or_default())
        };
        let base = cell.get_or_try_init(|| self.find(transport, registry)).await?.clone();
        Ok(Target {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            base,
        })
    }

    async fn find(&self, transport: &Transport, registry: &str) -> Result<Url, ClientError> {
        if !self.insecure.contains(registry) {
            return secure_base(registry);
        }
        let (tls, plain) = (base("https", registry)?, base("http", registry)?);
        let ping = tls.join("/v2/").map_err(|e| setup(registry, e))?;
        let exchange = Exchange {
            method: &Method::GET,
            url: &ping,
            headers: &HeaderMap::new(),
            authorization: None,
            payload: &Payload::Empty,
        };
        match transport.send_once(&exchange, None).await {
            Ok(_) => Ok(tls),
            // A proxy may not lead to a port that does not speak TLS.
            Err(ClientError::Connect { .. } | ClientError::Proxy { .. } | ClientError::Tls { .. }) => Ok(plain),
            Err(ClientError::Broken { .. }) => Ok(plain),
            Err(error) => Err(error),
        }
    }
}

fn secure_base(registry: &str) -> Result<Url, ClientError> {
    let host = if registry == "docker.io" {
        "registry-1.docker.io"
    } else {
        registry
    };
    let plain = base("http", host)?;
    if is_loopback(&plain) {
        Ok(plain)
    } else {
        base("https", host)
    }
}

fn base(scheme: &str, host: &str) -> Result<Url, ClientError> {
    Url::parse(&format!("{scheme}://{host}/")).map_err(|e| setup(host, e))
}

fn setup(registry: &str, error: impl std::error::Error + Send + Sync + 'static) -> ClientError {
    ClientError::Setup {
        registry: registry.to_owned(),
        source: error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_without_tls() {
        for (registry, url) in [
            ("docker.io", "https://registry-1.docker.io/"),
            ("ghcr.io", "https://ghcr.io/"),
            ("registry.lan:5000", "https://registry.lan:5000/"),
            ("localhost", "http://localhost/"),
            ("localhost:5000", "http://localhost:5000/"),
            ("127.0.0.1:5000", "http://127.0.0.1:5000/"),
            ("127.9.9.9:5000", "http://127.9.9.9:5000/"),
            ("[::1]:5000", "http://[::1]:5000/"),
            ("10.0.0.1:5000", "https://10.0.0.1:5000/"),
            ("localhost.evil.net:5000", "https://localhost.evil.net:5000/"),
            ("127.0.0.1.nip.io", "https://127.0.0.1.nip.io/"),
        ] {
            assert_eq!(secure_base(registry).unwrap().as_str(), url);
        }
    }

    #[test]
    fn urls_are_below_the_repository() {
        let target = |repository: &str| Target {
            registry: "r".to_owned(),
            repository: repository.to_owned(),
            base: base("https", "r:1").unwrap(),
        };
        assert_eq!(target("a/b").url("tags/list").as_str(), "https://r:1/v2/a/b/tags/list");
        assert_eq!(target("").url("").as_str(), "https://r:1/v2/");
    }
}
