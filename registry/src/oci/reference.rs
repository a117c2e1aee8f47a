//! References: where an image is (`registry/repository:tag@digest`), with Docker's normal form.
//!
//! The grammar is that of distribution's `reference` package, which every client shares: a first
//! component with a dot, a colon or the name `localhost` is a registry; without one the registry is
//! `docker.io`, and a single name lies in its `library/`.

use std::fmt;
use std::str::FromStr;

use super::{Digest, DigestError};

/// A full image reference; at least one of tag and digest is there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a string is not an image reference.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReferenceError {
    /// Nothing was given.
    #[error("an image reference must not be empty")]
    Empty,
    /// The repository breaks the grammar.
    #[error(
        "`{0}` is not an image reference: the repository `{1}` must be lower-case letters, digits and single separators"
    )]
    Repository(String, String),
    /// The tag breaks the grammar.
    #[error("`{0}` is not an image reference: the tag `{1}` must be at most 128 letters, digits, `_`, `.` and `-`")]
    Tag(String, String),
    /// The registry breaks the grammar.
    #[error("`{0}` is not an image reference: `{1}` is not a registry's host name")]
    Registry(String, String),
    /// The digest breaks the grammar.
    #[error("`{0}` is not an image reference")]
    Digest(String, #[source] DigestError),
    /// A repository that could be mistaken for an image id.
    #[error("`{0}` is not an image reference: 64 hex digits are an image id, not a name")]
    LooksLikeId(String),
}

impl Reference {
    /// Returns the registry's host and port, `docker.io` for Docker Hub.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the repository's path in the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the tag, if one is given or implied.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest, if one is given.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Returns the same place pinned to `digest`.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// Returns `tag` in the same repository, without a digest.
    ///
    /// # Errors
    /// If `tag` breaks the grammar of tags.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Tag(self.to_string(), tag.to_owned()));
        }
        Ok(Self {
            tag: Some(tag.to_owned()),
            digest: None,
            ..self.clone()
        })
    }

    /// Returns `digest` in the same repository, without a tag.
    pub fn untagged(&self, digest: Digest) -> Self {
        Self {
            tag: None,
            ..self.with_digest(digest)
        }
    }

    /// Returns the reference as people write it: without `docker.io/` and `library/`.
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        let short = full
            .strip_prefix("docker.io/")
            .map(|s| s.strip_prefix("library/").unwrap_or(s));
        short.unwrap_or(&full).to_owned()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if text.len() == 64 && text.bytes().all(|c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase()) {
            return Err(ReferenceError::LooksLikeId(text.to_owned()));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse().map_err(|e| ReferenceError::Digest(text.to_owned(), e))?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') && !tag.contains(']') => (name, Some(tag)),
            _ => (rest, None),
        };
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Tag(text.to_owned(), tag.to_owned()));
        }
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest))
                if first.contains(['.', ':'])
                    || first == "localhost"
                    || first.chars().any(|c| c.is_ascii_uppercase()) =>
            {
                (first, rest.to_owned())
            }
            Some(_) => ("docker.io", name.to_owned()),
            None => ("docker.io", format!("library/{name}")),
        };
        if !is_registry(registry) {
            return Err(ReferenceError::Registry(text.to_owned(), registry.to_owned()));
        }
        if repository.len() + registry.len() > 255 || !repository.split('/').all(is_component) {
            return Err(ReferenceError::Repository(text.to_owned(), repository));
        }
        let registry = match registry {
            "index.docker.io" | "registry-1.docker.io" => "docker.io",
            other => other,
        };
        let repository = match (registry, repository.contains('/')) {
            ("docker.io", false) => format!("library/{repository}"),
            _ => repository,
        };
        let tag = tag.or(if digest.is_none() { Some("latest") } else { None });
        Ok(Self {
            registry: registry.to_owned(),
            repository,
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

fn is_tag(tag: &str) -> bool {
    tag.len() <= 128
        && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && tag
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

fn is_registry(registry: &str) -> bool {
    let (host, port) = match registry.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => {
                return port.is_empty() || is_port(port);
            }
            _ => return false,
        },
        None => match registry.split_once(':') {
            Some((host, _)) => (host, &registry[host.len()..]),
            None => (registry, ""),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    host.split('.').all(label) && (port.is_empty() || is_port(port))
}

fn is_port(port: &str) -> bool {
    port.strip_prefix(':')
        .is_some_and(|digits| digits.bytes().all(|c| c.is_ascii_digit()) && digits.parse::<u16>().is_ok())
}

/// `[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = component.split(alphanumeric).filter(|s| !s.is_empty());
    component.starts_with(alphanumeric)
        && component.ends_with(alphanumeric)
        && separators
            .into_iter()
            .all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|c| c == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_docker_reads_them() {
        let digest = Digest::of(b"");
        for (text, full) in [
            ("debian", "docker.io/library/debian:latest"),
            ("debian:12", "docker.io/library/debian:12"),
            ("docker.io/debian", "docker.io/library/debian:latest"),
            ("index.docker.io/a/b:c", "docker.io/a/b:c"),
            ("me/app", "docker.io/me/app:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app:1", "localhost:5000/app:1"),
            ("127.0.0.1:5000/a/b/c:1", "127.0.0.1:5000/a/b/c:1"),
            ("[::1]:5000/app", "[::1]:5000/app:latest"),
            ("ghcr.io/a__b/c-d.e_f", "ghcr.io/a__b/c-d.e_f:latest"),
        ] {
            assert_eq!(
                text.parse::<Reference>().map(|r| r.to_string()),
                Ok(full.to_owned()),
                "{text}"
            );
        }
        let pinned = format!("debian:12@{digest}");
        assert_eq!(pinned.parse::<Reference>().unwrap().familiar(), pinned);
        assert_eq!(format!("debian@{digest}").parse::<Reference>().unwrap().tag(), None);
    }

    #[test]
    fn a_tag_takes_the_place_of_tag_and_digest() {
        let pinned: Reference = format!("ghcr.io/a/b:c@{}", Digest::of(b"")).parse().unwrap();
        assert_eq!(pinned.with_tag("d.e").unwrap().to_string(), "ghcr.io/a/b:d.e");
        assert!(pinned.with_tag("d/e").is_err());
        assert!(pinned.with_tag(&"x".repeat(129)).is_err());
    }

    /// An independent reader of the same grammar. It knows neither IPv6 hosts nor the rule about image ids.
    #[test]
    fn references_are_read_as_oci_spec_reads_them() {
        let names = [
            "debian",
            "debian:12",
            "docker.io/debian",
            "me/app:1",
            "localhost/app",
            "localhost:5000/a/b:c",
        ];
        let hosts = [
            "ghcr.io/a__b/c-d.e_f",
            "127.0.0.1:5000/a:1",
            "quay.io/a/b:v1.2.3-rc.1",
            "index.docker.io/a/b",
        ];
        for text in names.into_iter().chain(hosts) {
            let ours: Reference = text.parse().unwrap();
            let theirs: oci_spec::distribution::Reference = text.parse().unwrap();
            assert_eq!(ours.registry(), theirs.registry(), "{text}");
            assert_eq!(ours.repository(), theirs.repository(), "{text}");
            assert_eq!(ours.tag(), theirs.tag(), "{text}");
        }
        for bad in ["Debian", "a//b", "a:", "a:-x", "../../x", "-x/y.z"] {
            assert!(bad.parse::<oci_spec::distribution::Reference>().is_err(), "{bad}");
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }

    #[test]
    fn r12_what_is_not_a_reference_is_refused() {
        let id = "a".repeat(64);
        for bad in [
            "",
            "Debian",
            "a//b",
            "/a",
            "a/",
            "a:",
            "a:b c",
            "a:-x",
            "../../x",
            "a@sha256:0",
            "-x/y.z",
            "a..b",
            "a/b:c/d",
            "host:99999/x",
            &id,
            "x.y:z/a",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }
}
