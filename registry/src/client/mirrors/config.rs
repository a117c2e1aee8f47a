//! Reading `registries.conf` (TOML, containers-registries.conf(5)).

use serde::Deserialize;

use super::{Mirror, Mirrors, Rule, Serves};

/// Why rules for registries cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MirrorsError {
    /// The text is not TOML, or of another form.
    #[error("line {line}: {message}")]
    Toml {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A prefix or location does not begin with a host.
    #[error("`{0}` does not begin with the name of a registry, as `mirror.example:5000/path` does")]
    Place(String),
    /// A rule has neither a prefix nor a location.
    #[error("a registry has neither `prefix` nor `location`")]
    NoPrefix,
    /// `pull-from-mirror` has another value than the known ones.
    #[error("`pull-from-mirror` is `{0}`, which is none of `all`, `digest-only`, `tag-only`")]
    Serves(String),
    /// A rule on the command line has not the form of one.
    #[error("`{0}` is not of the form `REGISTRY[/PATH]=OTHER[/PATH]`")]
    Pair(String),
}

/// The parts of the file that matter here; how short names are completed is Docker's here, not Podman's.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    registry: Vec<Registry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Registry {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default)]
    mirror: Vec<FileMirror>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct FileMirror {
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    pull_from_mirror: Option<String>,
}

impl Mirrors {
    /// Reads the text of a `registries.conf`.
    ///
    /// # Errors
    /// If it is not TOML of this form, or names no registry where one must be named.
    pub fn parse(text: &str) -> Result<Self, MirrorsError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            MirrorsError::Toml {
                line: text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1,
                message: crate::text::one_line(error.message()),
            }
        })?;
        let rules: Result<_, _> = file.registry.into_iter().map(rule).collect();
        Ok(Self { rules: rules? })
    }
}

fn rule(registry: Registry) -> Result<Rule, MirrorsError> {
    let (prefix, location) = match (registry.prefix.as_str(), registry.location.as_str()) {
        ("", "") => return Err(MirrorsError::NoPrefix),
        ("", location) => (place(location)?, String::new()),
        (prefix, "") => (place(prefix)?, String::new()),
        (prefix, location) => (place(prefix)?, place(location)?),
    };
    let by_digest = registry.mirror_by_digest_only;
    let mirrors: Result<_, _> = registry
        .mirror
        .into_iter()
        .map(|found| mirror(found, by_digest))
        .collect();
    Ok(Rule {
        prefix,
        location,
        insecure: registry.insecure,
        blocked: registry.blocked,
        mirrors: mirrors?,
    })
}

fn mirror(found: FileMirror, by_digest: bool) -> Result<Mirror, MirrorsError> {
    let serves = match found.pull_from_mirror.as_deref() {
        None if by_digest => Serves::Digests,
        None | Some("all") => Serves::All,
        Some("digest-only") => Serves::Digests,
        Some("tag-only") => Serves::Tags,
        Some(other) => return Err(MirrorsError::Serves(crate::text::one_line(other))),
    };
    Ok(Mirror {
        location: place(&found.location)?,
        insecure: found.insecure,
        serves,
        given: false,
    })
}

/// Reads `PREFIX=LOCATION`.
pub(super) fn pair(rule: &str) -> Result<(String, String), MirrorsError> {
    let (prefix, location) = rule
        .split_once('=')
        .ok_or_else(|| MirrorsError::Pair(crate::text::one_line(rule)))?;
    Ok((place(prefix)?, place(location)?))
}

/// Checks a prefix or location: a host with a dot, a port or the name `localhost`, and what follows it.
fn place(text: &str) -> Result<String, MirrorsError> {
    let text = text.trim_end_matches('/');
    let host = text.split('/').next().unwrap_or_default();
    let known = host.contains(['.', ':']) || host == "localhost";
    if !known || text.contains("://") || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(MirrorsError::Place(crate::text::one_line(text)));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_configuration_is_refused_with_its_line() {
        for (text, error) in [
            ("[[registry]]\nlocation = 5", "line 2: "),
            ("x = [", "line 1: "),
            ("[[registry]]\n", "a registry has neither"),
            ("[[registry]]\nlocation = \"nohost/x\"", "`nohost/x` does not begin"),
            (
                "[[registry]]\nlocation = \"https://r.example\"",
                "`https://r.example` does not begin",
            ),
            (
                "[[registry]]\nlocation = \"a.b\"\n[[registry.mirror]]\nlocation = \"c.d\"\npull-from-mirror = \"no\"",
                "`pull-from-mirror` is `no`",
            ),
        ] {
            let found = Mirrors::parse(text).unwrap_err().to_string();
            assert!(found.starts_with(error), "{text}: {found}");
        }
        assert!(pair("docker.io").is_err() && pair("docker.io=x").is_err());
        let debians = "[aliases]\n\"debian\" = \"docker.io/library/debian\"\n[registries.search]\nregistries = []";
        assert_eq!(Mirrors::parse(debians), Ok(Mirrors::default()));
    }
}
