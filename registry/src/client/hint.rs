//! What a person may do about a failure.

use super::error::{ClientError, ProtocolError};
use crate::oci::MediaType;

impl ClientError {
    /// Returns what a person may do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unauthorized(refusal) | Self::Denied(refusal) => Some(refusal.access_hint()),
            Self::Tls { .. } => Some(
                "add the registry's certificate authority with `--registry-ca FILE`, or as `*.crt` in \
                 `/etc/containers/certs.d/HOST:PORT` or `/etc/docker/certs.d/HOST:PORT`, or to all with \
                 `SSL_CERT_FILE`; or allow plain HTTP and unknown certificates for it with \
                 `--insecure-registry HOST`"
                    .to_owned(),
            ),
            Self::Proxy { .. } => Some(
                "the proxy is that of `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY`, with user and password as in \
                 `http://USER:PASSWORD@HOST:PORT`; `NO_PROXY` lists hosts that need none"
                    .to_owned(),
            ),
            Self::TagImmutable(_) => Some("push under a new tag: this registry never moves one".to_owned()),
            Self::MediaTypeRefused { media_type, .. }
                if [MediaType::MANIFEST, MediaType::INDEX].contains(&&*media_type.0) =>
            {
                Some(
                    "push with Docker's media types instead of OCI's: `--output type=image,push=true,oci-mediatypes=false`"
                        .to_owned(),
                )
            }
            Self::UnknownHost { .. } => Some(
                "check the name; if it is right, this machine or container asks a name server that does not know it \
                 (`/etc/resolv.conf`)"
                    .to_owned(),
            ),
            Self::NoPlatform { available, .. } => available
                .first()
                .map(|platform| format!("choose one of them, as in `--platform {platform}`")),
            Self::Protocol {
                source: ProtocolError::Downgrade(_),
                ..
            } => Some(
                "the registry seems to stand behind a proxy that ends TLS and does not tell it so \
                 (`X-Forwarded-Proto`)"
                    .to_owned(),
            ),
            Self::Realm { .. } => {
                Some("only https services with a public name, or the registry's own, are asked".to_owned())
            }
            Self::Blocked { .. } => Some("it is `blocked` in `registries.conf`, or what that leads to is".to_owned()),
            Self::Refused(refusal) if refusal.status() == 407 => Some(
                "the proxy wants a user and a password, as in `HTTP_PROXY=http://USER:PASSWORD@HOST:PORT`".to_owned(),
            ),
            Self::Refused(refusal) if refusal.status() == 429 => Some(
                "the registry limits requests; log in, or wait and try again: what was transferred is kept".to_owned(),
            ),
            _ => None,
        }
    }
}
