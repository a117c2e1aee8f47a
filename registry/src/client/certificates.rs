//! Certificates that belong to one registry: the directories of Docker and Podman (`certs.d/HOST[:PORT]`).
//!
//! In such a directory `*.crt` are authorities that are believed for this host alone, and `NAME.cert` with `NAME.key`
//! is what the client shows of itself (containers-certs.d(5)). All directories are read at once, so that it later does
//! not matter what becomes of them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use reqwest::Url;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::error::ClientError;

/// What a client shows of itself.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    /// Where it is, for messages.
    pub(super) path: PathBuf,
}

/// What belongs to one host.
#[derive(Default, Debug)]
pub(super) struct HostCertificates {
    pub(super) authorities: Vec<CertificateDer<'static>>,
    pub(super) identity: Option<Identity>,
}

/// All of them, by the name of their directory.
#[derive(Default, Debug)]
pub(super) struct CertificateDirs(BTreeMap<String, HostCertificates>);

impl CertificateDirs {
    /// Reads what is below `dirs`, which need not exist; of two directories for a host the first counts.
    pub(super) fn read(dirs: &[PathBuf]) -> Result<Self, ClientError> {
        let mut hosts = BTreeMap::new();
        for dir in dirs {
            for path in list(dir)? {
                let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
                if let Some(name) = name.filter(|name| !hosts.contains_key(name))
                    && let Some(found) = read_host(&path)?
                {
                    hosts.insert(name, found);
                }
            }
        }
        Ok(Self(hosts))
    }

    /// Returns what belongs to the host of `url`.
    pub(super) fn of(&self, url: &Url) -> Option<&HostCertificates> {
        let host = url.host_str()?;
        let with_port = format!("{host}:{}", url.port_or_known_default()?);
        let known_as = (host == "registry-1.docker.io").then(|| self.0.get("docker.io"));
        let bare = || self.0.get(host).filter(|_| url.port().is_none());
        self.0.get(&with_port).or_else(bare).or(known_as.flatten())
    }
}

fn read_host(dir: &Path) -> Result<Option<HostCertificates>, ClientError> {
    let mut found = HostCertificates::default();
    for path in list(dir)? {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => found.authorities.extend(certificates(&path)?),
            Some("cert") => {
                let key_path = path.with_extension("key");
                let pem = read(&key_path)?;
                let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|e| failed(&key_path, e))?;
                let chain = certificates(&path)?;
                found.identity.get_or_insert(Identity { chain, key, path });
            }
            _ => {}
        }
    }
    Ok((!found.authorities.is_empty() || found.identity.is_some()).then_some(found))
}

/// Returns the certificates in a PEM file, at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let pem = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|e| failed(path, e))?;
    if found.is_empty() {
        return Err(failed(path, "it holds no PEM certificate"));
    }
    Ok(found)
}

/// Returns the paths in a directory in order; none if there is no such directory, or it is not ours to read.
fn list(dir: &Path) -> Result<Vec<PathBuf>, ClientError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            tracing::warn!(dir = %dir.display(), %error, "certificates for registries cannot be read");
            return Ok(Vec::new());
        }
        Err(error) => return Err(failed(dir, error)),
    };
    let paths: Result<Vec<PathBuf>, io::Error> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(|e| failed(dir, e))?;
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<Vec<u8>, ClientError> {
    fs::read(path).map_err(|e| failed(path, e))
}

fn failed(path: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
    ClientError::Certificates {
        path: path.to_owned(),
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/client/tls");

    #[test]
    fn a_directory_speaks_for_its_host_and_port_only() {
        let dir = tempfile::tempdir().unwrap();
        for host in ["r.example", "r.example:5000", "[::1]:5000", "docker.io", "empty"] {
            fs::create_dir(dir.path().join(host)).unwrap();
            if host != "empty" {
                fs::copy(format!("{TLS}/authority.pem"), dir.path().join(host).join("ca.crt")).unwrap();
            }
        }
        let absent = dir.path().join("absent");
        let dirs = CertificateDirs::read(&[absent, dir.path().to_owned()]).unwrap();
        for (url, known) in [
            ("https://r.example/", true),
            ("https://r.example:5000/", true),
            ("https://r.example:5001/", false),
            ("https://x.r.example/", false),
            ("https://[::1]:5000/", true),
            ("https://registry-1.docker.io/", true),
            ("https://empty/", false),
        ] {
            assert_eq!(dirs.of(&Url::parse(url).unwrap()).is_some(), known, "{url}");
        }
    }

    #[test]
    fn a_certificate_without_its_key_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("r")).unwrap();
        fs::copy(format!("{TLS}/server.pem"), dir.path().join("r/me.cert")).unwrap();
        let error = CertificateDirs::read(&[dir.path().to_owned()]).unwrap_err();
        assert!(error.to_string().ends_with("/r/me.key`"), "{error}");
        fs::copy(format!("{TLS}/server.key"), dir.path().join("r/me.key")).unwrap();
        let dirs = CertificateDirs::read(&[dir.path().to_owned()]).unwrap();
        let own = dirs.of(&Url::parse("https://r/").unwrap()).unwrap();
        assert_eq!(own.identity.as_ref().map(|identity| identity.chain.len()), Some(1));
    }
}
