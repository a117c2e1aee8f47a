//! The JSON of Docker's `config.json` and Podman's `auth.json`: reading it and looking a registry up. Pure.
//!
//! Both files have one form, but their keys differ by history: Docker writes host names, and for Docker Hub
//! `https://index.docker.io/v1/`; old Dockers wrote URLs; Podman writes `host/namespace/repository`, of which
//! the longest that fits wins (containers-auth.json(5)). Hosts are compared whole and with their port.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::{Credential, Secret};

/// The key under which Docker keeps credentials for Docker Hub.
pub(super) const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// The parts of the file that concern credentials.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct DockerConfig {
    #[serde(default, deserialize_with = "null_as_default")]
    auths: BTreeMap<String, Entry>,
    #[serde(default, deserialize_with = "null_as_default")]
    creds_store: String,
    #[serde(default, deserialize_with = "null_as_default")]
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
struct Entry {
    #[serde(default, deserialize_with = "null_as_default")]
    auth: String,
    #[serde(default, deserialize_with = "null_as_default")]
    username: String,
    #[serde(default, deserialize_with = "null_as_default")]
    password: String,
    #[serde(default, deserialize_with = "null_as_default")]
    identitytoken: String,
    #[serde(default, deserialize_with = "null_as_default")]
    registrytoken: String,
}

/// The entry under `key` is not the base64 of `username:password`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadEntry {
    pub(super) key: String,
}

impl DockerConfig {
    /// Reads the file's text.
    pub(super) fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// Returns the credential that stands in the file for a repository, the most specific one.
    pub(super) fn credential(&self, registry: &str, repository: &str) -> Result<Option<Credential>, BadEntry> {
        let best = self
            .auths
            .iter()
            .filter(|(_, entry)| !entry.is_empty())
            .filter_map(|(key, entry)| Some((specificity(key, registry, repository)?, key, entry)))
            .max_by_key(|(specificity, ..)| *specificity);
        best.map(|(_, key, entry)| entry.credential().ok_or_else(|| BadEntry { key: key.clone() }))
            .transpose()
    }

    /// Returns the helper configured for this registry alone (`credHelpers`).
    pub(super) fn own_helper(&self, registry: &str) -> Option<&str> {
        let named = self
            .cred_helpers
            .iter()
            .find(|(key, _)| is_same_registry(key, registry));
        named.map(|(_, name)| name.as_str()).filter(|name| !name.is_empty())
    }

    /// Returns the helper configured for every registry (`credsStore`).
    pub(super) fn store(&self) -> Option<&str> {
        Some(self.creds_store.as_str()).filter(|name| !name.is_empty())
    }
}

impl Entry {
    /// Docker leaves empty entries as marks for what a helper keeps.
    fn is_empty(&self) -> bool {
        let Self {
            auth,
            username,
            password,
            identitytoken,
            registrytoken,
        } = self;
        [auth, username, password, identitytoken, registrytoken]
            .iter()
            .all(|field| field.is_empty())
    }

    fn credential(&self) -> Option<Credential> {
        if !self.identitytoken.is_empty() {
            Some(Credential::IdentityToken(Secret::new(&self.identitytoken)))
        } else if !self.registrytoken.is_empty() {
            Some(Credential::RegistryToken(Secret::new(&self.registrytoken)))
        } else if !self.auth.is_empty() {
            Credential::decode(&self.auth)
        } else {
            Some(Credential::password(&self.username, &self.password))
        }
    }
}

/// Returns the name under which helpers and `config.json` know `registry`.
pub(super) fn key_of(registry: &str) -> &str {
    if registry == "docker.io" {
        DOCKER_HUB_KEY
    } else {
        registry
    }
}

/// Tells whether a key without a repository names `registry`.
pub(super) fn is_same_registry(key: &str, registry: &str) -> bool {
    specificity(key, registry, "") == Some(0)
}

/// Returns how many characters of the repository `key` names if it covers it, or nothing if it does not.
fn specificity(key: &str, registry: &str, repository: &str) -> Option<usize> {
    let without_scheme = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let (host, path) = match without_scheme {
        // A URL's path was never a repository but the API's version.
        Some(rest) => (rest.split('/').next().unwrap_or(rest), ""),
        None => key.split_once('/').unwrap_or((key, "")),
    };
    let host = match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    };
    let path = match path.trim_end_matches('/') {
        "v1" | "v2" => "",
        path => path,
    };
    let rest = repository.strip_prefix(path)?;
    let covers = path.is_empty() || rest.is_empty() || rest.starts_with('/');
    (host.eq_ignore_ascii_case(registry) && covers).then_some(path.len())
}

/// Go writes `null` for what is empty; it means the same as absence.
fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user_for(keys: &[&str], registry: &str, repository: &str) -> Option<String> {
        let auths: BTreeMap<&str, serde_json::Value> = keys
            .iter()
            .map(|key| (*key, serde_json::json!({"username": key, "password": "p"})))
            .collect();
        let json = serde_json::json!({ "auths": auths }).to_string();
        match DockerConfig::parse(json.as_bytes())
            .unwrap()
            .credential(registry, repository)
            .unwrap()
        {
            Some(Credential::Password { username, .. }) => Some(username),
            other => {
                assert_eq!(other, None);
                None
            }
        }
    }

    #[test]
    fn every_usual_key_finds_its_registry() {
        for (key, registry) in [
            ("ghcr.io", "ghcr.io"),
            ("GHCR.io", "ghcr.io"),
            ("https://ghcr.io", "ghcr.io"),
            ("https://ghcr.io/v2/", "ghcr.io"),
            ("ghcr.io/v1/", "ghcr.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("index.docker.io", "docker.io"),
            ("docker.io", "docker.io"),
            ("registry-1.docker.io", "docker.io"),
            ("http://localhost:5000", "localhost:5000"),
            ("[::1]:5000", "[::1]:5000"),
            ("ghcr.io/me", "ghcr.io"),
            ("ghcr.io/me/app", "ghcr.io"),
        ] {
            assert_eq!(user_for(&[key], registry, "me/app"), Some(key.to_owned()), "{key}");
        }
    }

    #[test]
    fn r6_look_alikes_get_no_credential() {
        for (key, registry) in [
            ("azurecr.io", "evilazurecr.io"),
            ("azurecr.io", "azurecr.io.evil.net"),
            ("azurecr.io", "me.azurecr.io"),
            ("registry:5000", "registry"),
            ("registry", "registry:5000"),
            ("registry.example.", "registry.example"),
            ("*.example.com", "a.example.com"),
            ("ghcr.io/m", "ghcr.io"),
            ("ghcr.io/me/ap", "ghcr.io"),
            ("ghcr.io/me/app/x", "ghcr.io"),
            ("https://evil.net/ghcr.io", "ghcr.io"),
            ("user@ghcr.io", "ghcr.io"),
            ("", "ghcr.io"),
        ] {
            assert_eq!(user_for(&[key], registry, "me/app"), None, "{key} {registry}");
        }
    }

    #[test]
    fn the_longest_repository_key_wins() {
        let keys = ["quay.io", "quay.io/a", "quay.io/a/b"];
        for (repository, key) in [
            ("a/b", "quay.io/a/b"),
            ("a/b/c", "quay.io/a/b"),
            ("a/bc", "quay.io/a"),
            ("b", "quay.io"),
        ] {
            assert_eq!(
                user_for(&keys, "quay.io", repository).as_deref(),
                Some(key),
                "{repository}"
            );
        }
    }

    #[test]
    fn an_entry_may_hold_any_kind_of_credential_or_nothing() {
        let config = r#"{"auths":{
            "a":{"auth":"dTpw"}, "b":{"auth":"dTpw","identitytoken":"t"}, "c":{"registrytoken":"r"}, "d":{},
            "e":{"auth":"%"}, "f":{"auth":null,"username":"u","password":"p"}},
            "credsStore":"store","credHelpers":{"g":"own","h":""},"HttpHeaders":{"x":"y"}}"#;
        let config = DockerConfig::parse(config.as_bytes()).unwrap();
        assert_eq!(config.credential("a", "x"), Ok(Some(Credential::password("u", "p"))));
        assert_eq!(
            config.credential("b", "x"),
            Ok(Some(Credential::IdentityToken(Secret::new("t"))))
        );
        assert_eq!(
            config.credential("c", "x"),
            Ok(Some(Credential::RegistryToken(Secret::new("r"))))
        );
        assert_eq!(config.credential("d", "x"), Ok(None));
        assert_eq!(config.credential("e", "x"), Err(BadEntry { key: "e".to_owned() }));
        assert_eq!(config.credential("f", "x"), Ok(Some(Credential::password("u", "p"))));
        assert_eq!(
            (config.own_helper("g"), config.own_helper("h"), config.store()),
            (Some("own"), None, Some("store"))
        );
        for empty in ["{}", r#"{"auths":null,"credHelpers":null,"credsStore":null}"#] {
            assert_eq!(
                DockerConfig::parse(empty.as_bytes()).unwrap().credential("a", "x"),
                Ok(None)
            );
        }
    }
}
