//! Which certificates are believed.
//!
//! The system's (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured by the loader), plus the user's own and those of the
//! host's directory; Mozilla's where the system has none, as in containers without `ca-certificates`. The provider is *ring*, chosen here
//! and not process-wide.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::certificates::{HostCertificates, Identity, certificates};
use super::error::ClientError;
use super::verifier::Verifier;

/// Returns the authorities that are believed for every host: the system's and those in `extra` (PEM files).
pub(super) fn authorities(extra: &[PathBuf]) -> Result<RootCertStore, ClientError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for problem in &system.errors {
        tracing::warn!(%problem, "a system certificate cannot be read");
    }
    roots.add_parsable_certificates(system.certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for path in extra {
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(|e| ClientError::Certificates {
                path: path.clone(),
                source: e.into(),
            })?;
        }
    }
    Ok(roots)
}

/// Returns the configuration that believes these authorities, and for one host what is its `own`; `host` is for
/// messages.
pub(super) fn verified(
    host: &str,
    authorities: &RootCertStore,
    own: Option<&HostCertificates>,
) -> Result<ClientConfig, ClientError> {
    let mut roots = authorities.clone();
    roots.add_parsable_certificates(own.iter().flat_map(|own| own.authorities.iter().cloned()));
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let verifier = verifier.map_err(|e| setup(host, e))?;
    let builder = versions(host)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier(verifier)));
    let config =
        match own.and_then(|own| own.identity.as_ref()) {
            None => builder.with_no_client_auth(),
            Some(Identity { chain, key, path }) => builder
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(|e| ClientError::Certificates {
                    path: path.clone(),
                    source: e.into(),
                })?,
        };
    Ok(with_protocols(config))
}

/// Returns the configuration for plain HTTP and for registries that the user called insecure.
pub(super) fn unverified(host: &str) -> Result<ClientConfig, ClientError> {
    let verifier = Arc::new(AnyCertificate(ring::default_provider()));
    let builder = versions(host)?.dangerous();
    Ok(with_protocols(
        builder.with_custom_certificate_verifier(verifier).with_no_client_auth(),
    ))
}

fn versions(host: &str) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, ClientError> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| setup(host, e))
}

fn setup(host: &str, error: impl std::error::Error + Send + Sync + 'static) -> ClientError {
    ClientError::Setup {
        registry: host.to_owned(),
        source: error.into(),
    }
}

fn with_protocols(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// Believes every certificate, but not a handshake that its key did not sign.
#[derive(Debug)]
struct AnyCertificate(CryptoProvider);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
