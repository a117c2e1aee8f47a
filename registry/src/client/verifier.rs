//! Checking a server's certificate, so that a refusal says whose it is and who issued it.

use std::error::Error;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};

use super::x509;
use crate::text::one_line;

/// A certificate that is not believed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("its certificate is `{subject}`, issued by `{issuer}`: {problem}")]
pub(super) struct Untrusted {
    subject: String,
    issuer: String,
    problem: String,
}

/// Believes what the authorities believe.
#[derive(Debug)]
pub(super) struct Verifier(pub(super) Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self
            .0
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        verified.map_err(|error| match error {
            rustls::Error::InvalidCertificate(problem) => {
                let names = x509::names(end_entity);
                let (issuer, subject) = names.unwrap_or_default();
                let untrusted = Untrusted {
                    subject: one_line(&subject),
                    issuer: one_line(&issuer),
                    problem: words(&problem),
                };
                rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(untrusted))))
            }
            other => other,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Says what is wrong with a certificate; where time is, what time it is here.
fn words(problem: &CertificateError) -> String {
    let date = |time: &UnixTime| {
        i64::try_from(time.as_secs())
            .ok()
            .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
            .map_or_else(|| "?".to_owned(), |time| time.to_string())
    };
    match problem {
        CertificateError::UnknownIssuer => "that authority is not trusted here".to_owned(),
        CertificateError::ExpiredContext { time, not_after } => {
            format!(
                "it expired at {}, and this machine's clock is {}",
                date(not_after),
                date(time)
            )
        }
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "it begins at {}, and this machine's clock is {}",
            date(not_before),
            date(time)
        ),
        other => other.to_string(),
    }
}

/// Finds the certificate that was not believed among the causes of an error.
pub(super) fn untrusted(error: &(dyn Error + 'static)) -> Option<Untrusted> {
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let tls = match error.downcast_ref::<rustls::Error>() {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(other))) => {
            other.0.downcast_ref::<Untrusted>().cloned()
        }
        _ => None,
    };
    tls.or_else(|| wrapped.and_then(|wrapped| untrusted(wrapped)))
        .or_else(|| error.source().and_then(untrusted))
}
