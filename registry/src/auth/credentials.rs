//! The places where credentials may be, in order, and the search through them.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use super::credential_helper::Helper;
use super::docker_config::{DockerConfig, key_of};
use super::{Credential, CredentialSource, CredentialsError, Secret};

/// Where to look for credentials, the first place first. Nothing is read before [`Credentials::lookup`].
///
/// Which places there are (`DOCKER_AUTH_CONFIG`, `REGISTRY_AUTH_FILE`, `$DOCKER_CONFIG/config.json`, …) is the
/// caller's to say: this crate reads no environment.
#[derive(Clone, Default, Debug)]
pub struct Credentials {
    places: Vec<Place>,
    helper_path: Option<OsString>,
}

#[derive(Clone, Debug)]
enum Place {
    File(PathBuf),
    Inline { name: String, json: Secret },
    Given { registry: String, credential: Credential },
}

/// What a search found, and what was in its way.
#[derive(Default, Debug)]
pub struct Lookup {
    /// The credential and where it was.
    pub found: Option<(Credential, CredentialSource)>,
    /// Places that could not be read. They matter only when the registry then refuses: a broken helper must
    /// not stop a pull that needs no password.
    pub problems: Vec<CredentialsError>,
}

impl Credentials {
    /// Knows no place at all.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// Adds a file in the form of Docker's `config.json` or Podman's `auth.json`; it need not exist.
    pub fn with_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.places.push(Place::File(path.into()));
        self
    }

    /// Adds JSON of the same form as text, with the name of the variable that held it.
    pub fn with_inline(mut self, name: impl Into<String>, json: Secret) -> Self {
        self.places.push(Place::Inline {
            name: name.into(),
            json,
        });
        self
    }

    /// Adds a credential for one registry.
    pub fn with_given(mut self, registry: impl Into<String>, credential: Credential) -> Self {
        self.places.push(Place::Given {
            registry: registry.into(),
            credential,
        });
        self
    }

    /// Sets the `PATH` on which helpers are found; without it, it is that of this process.
    pub fn with_helper_path(mut self, path: impl Into<OsString>) -> Self {
        self.helper_path = Some(path.into());
        self
    }

    /// Searches the places in order for a credential for `repository` of `registry`.
    pub async fn lookup(&self, registry: &str, repository: &str) -> Lookup {
        let mut lookup = Lookup::default();
        for place in &self.places {
            lookup.found = match place {
                Place::Given {
                    registry: given,
                    credential,
                } => (given == registry).then(|| (credential.clone(), CredentialSource::Given)),
                Place::Inline { name, json } => {
                    let source = CredentialSource::Inline(name.clone());
                    self.search(
                        source,
                        json.expose().as_bytes(),
                        registry,
                        repository,
                        &mut lookup.problems,
                    )
                    .await
                }
                Place::File(path) => match tokio::fs::read(path).await {
                    Ok(json) => {
                        let source = CredentialSource::File(path.clone());
                        self.search(source, &json, registry, repository, &mut lookup.problems)
                            .await
                    }
                    Err(e) if e.kind() == io::ErrorKind::NotFound => None,
                    Err(source) => {
                        lookup.problems.push(CredentialsError::File {
                            verb: "read",
                            path: path.clone(),
                            source,
                        });
                        None
                    }
                },
            };
            if lookup.found.is_some() {
                break;
            }
        }
        lookup
    }

    /// Searches one file: the registry's own helper, what stands in the file, the helper for all.
    async fn search(
        &self,
        source: CredentialSource,
        json: &[u8],
        registry: &str,
        repository: &str,
        problems: &mut Vec<CredentialsError>,
    ) -> Option<(Credential, CredentialSource)> {
        let origin = source.to_string();
        let config = match DockerConfig::parse(json) {
            Ok(config) => config,
            Err(e) => {
                problems.push(CredentialsError::Malformed {
                    origin,
                    line: e.line(),
                    column: e.column(),
                });
                return None;
            }
        };
        if let Some(name) = config.own_helper(registry) {
            let found = self.ask(name, registry, &origin, problems).await;
            if found.is_some() {
                return found;
            }
        }
        match config.credential(registry, repository) {
            Ok(Some(credential)) => return Some((credential, source)),
            Ok(None) => {}
            Err(bad) => problems.push(CredentialsError::Entry {
                key: bad.key,
                origin: origin.clone(),
            }),
        }
        match config.store() {
            Some(name) => self.ask(name, registry, &origin, problems).await,
            None => None,
        }
    }

    async fn ask(
        &self,
        name: &str,
        registry: &str,
        origin: &str,
        problems: &mut Vec<CredentialsError>,
    ) -> Option<(Credential, CredentialSource)> {
        let answer = match Helper::new(name, self.helper_path.as_deref(), origin) {
            Ok(helper) => helper.get(key_of(registry)).await,
            Err(e) => Err(e),
        };
        let credential = answer.unwrap_or_else(|problem| {
            problems.push(problem);
            None
        })?;
        let (name, origin) = (name.to_owned(), origin.to_owned());
        Some((credential, CredentialSource::Helper { name, origin }))
    }
}
