//! HTTP clients by host: whose certificates are believed, and through which proxy requests go.
//!
//! They are made when first needed, because loading the system's certificates costs more than a whole cached build: one
//! for loopback and the machine's own link (no proxy), one that verifies certificates, one that does not, and one for each host that has
//! certificates of its own.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::Url;

use super::certificates::{CertificateDirs, HostCertificates};
use super::error::ClientError;
use super::proxy::{self, Proxies};
use super::tls;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// How the other end is reached and believed.
#[derive(Clone, Default, Debug)]
pub(super) struct Ways {
    pub(super) user_agent: String,
    /// Hosts, with their port if it is not the usual one, whose certificates are not checked.
    pub(super) insecure: BTreeSet<String>,
    pub(super) extra_ca: Vec<PathBuf>,
    pub(super) certificate_dirs: Vec<PathBuf>,
    pub(super) proxies: Proxies,
}

/// The HTTP clients made so far.
#[derive(Debug)]
pub(super) struct Clients {
    ways: Ways,
    believed: OnceLock<Believed>,
    loopback: OnceLock<reqwest::Client>,
    verified: OnceLock<reqwest::Client>,
    unverified: OnceLock<reqwest::Client>,
    /// Those for hosts with certificates of their own.
    own: Mutex<HashMap<String, reqwest::Client>>,
}

/// Whose certificates are believed.
#[derive(Debug)]
struct Believed {
    authorities: rustls::RootCertStore,
    hosts: CertificateDirs,
}

impl Clients {
    pub(super) fn new(ways: Ways) -> Self {
        let (believed, loopback, verified, unverified, own) = Default::default();
        Self {
            ways,
            believed,
            loopback,
            verified,
            unverified,
            own,
        }
    }

    /// Makes the client that verifies certificates, which loads those that are believed.
    pub(super) fn load_certificates(&self) -> Result<(), ClientError> {
        const NO_HOST: &str = "";
        let believed = self.believed()?;
        let tls = || tls::verified(NO_HOST, &believed.authorities, None);
        self.make(&self.verified, NO_HOST, tls, false).map(drop)
    }

    /// Returns the client for the host of `url`.
    pub(super) fn of(&self, url: &Url) -> Result<reqwest::Client, ClientError> {
        let host = url.host_str().unwrap_or_default();
        let insecure = &self.ways.insecure;
        if insecure.contains(host) && url.port().is_none() || insecure.contains(&with_port(url)) {
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
        let believed = self.believed()?;
        match believed.hosts.of(url) {
            Some(own) => self.own(url, believed, own),
            None => {
                let tls = || tls::verified(host, &believed.authorities, None);
                self.make(&self.verified, host, tls, false)
            }
        }
    }

    /// Returns the proxy that a request to `url` goes through, as it may be shown.
    pub(super) fn proxy(&self, url: &Url) -> Option<String> {
        let proxy = self.ways.proxies.of(url).filter(|_| !is_loopback(url));
        proxy.map(proxy::shown)
    }

    fn believed(&self) -> Result<&Believed, ClientError> {
        if let Some(believed) = self.believed.get() {
            return Ok(believed);
        }
        let believed = Believed {
            authorities: tls::authorities(&self.ways.extra_ca)?,
            hosts: CertificateDirs::read(&self.ways.certificate_dirs)?,
        };
        Ok(self.believed.get_or_init(|| believed))
    }

    /// Returns the client for a host that has certificates of its own.
    fn own(&self, url: &Url, believed: &Believed, own: &HostCertificates) -> Result<reqwest::Client, ClientError> {
        let mut clients = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&with_port(url)) {
            return Ok(client.clone());
        }
        let host = url.host_str().unwrap_or_default();
        let tls = tls::verified(host, &believed.authorities, Some(own))?;
        let client = self.build(host, tls, is_loopback(url))?;
        clients.insert(with_port(url), client.clone());
        Ok(client)
    }

    fn make(
        &self,
        cell: &OnceLock<reqwest::Client>,
        host: &str,
        tls: impl FnOnce() -> Result<rustls::ClientConfig, ClientError>,
        direct: bool,
    ) -> Result<reqwest::Client, ClientError> {
        if let Some(client) = cell.get() {
            return Ok(client.clone());
        }
        let client = self.build(host, tls()?, direct)?;
        Ok(cell.get_or_init(|| client).clone())
    }

    fn build(&self, host: &str, tls: rustls::ClientConfig, direct: bool) -> Result<reqwest::Client, ClientError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(&self.ways.user_agent)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .tls_backend_preconfigured(tls)
            // Those of the environment are the caller's to pass.
            .no_proxy();
        if !direct {
            let proxies = self.ways.proxies.clone();
            let of = move |url: &Url| proxies.of(url).filter(|_| !is_loopback(url)).cloned();
            builder = builder.proxy(reqwest::Proxy::custom(of));
        }
        builder.build().map_err(|e| ClientError::Setup {
            registry: host.to_owned(),
            source: e.into(),
        })
    }
}

fn with_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    format!("{host}:{}", url.port_or_known_default().unwrap_or_default())
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
