//! Doors for the fuzzer to the parsers that only this module calls: each takes a stranger's bytes, and holds what comes of
//! them to what must be true.

use reqwest::Url;

use super::docker_config::DockerConfig;
use super::realm::{Trust, judge};
use super::scope::ScopeSet;
use super::token::Token;
use super::{challenge, credential_helper};

/// The scopes of one challenge that are taken, and the request's own.
const MOST_SCOPES: usize = 5;

/// Checks a header that demands credentials, or the address of a token service in one.
pub fn header(text: &str) {
    for challenge in challenge::parse(text) {
        let challenge::Challenge::Bearer(bearer) = challenge else {
            continue;
        };
        let said = bearer.realm.len() + bearer.scope.len() + bearer.service.as_ref().map_or(0, String::len);
        assert!(
            !bearer.realm.is_empty() && said <= text.len(),
            "more is demanded than was said: {text:?}"
        );
        let scopes = ScopeSet::pull("a/b").with_challenge(&bearer.scope);
        assert!(scopes.iter().count() <= MOST_SCOPES, "{text:?}");
        assert!(scopes.iter().all(|scope| scope.starts_with("repository:")), "{text:?}");
        assert_trust(&bearer.realm);
    }
    assert_trust(text);
}

/// A password goes to hosts of the registry's own domain only.
fn assert_trust(realm: &str) {
    let (Ok(registry), Ok(realm)) = (Url::parse("https://registry.example"), Url::parse(realm)) else {
        return;
    };
    let is_trusted = judge(&registry, &realm, &Default::default()) == Trust::Full;
    let host = realm.host_str().unwrap_or_default().trim_end_matches('.');
    assert!(
        !is_trusted || host == "registry.example" || host.ends_with(".registry.example"),
        "{realm}"
    );
}

/// Checks a token service's answer, and what a credential helper prints.
pub fn answer(bytes: &[u8]) {
    if let Ok(token) = Token::parse(bytes) {
        let value = token.value.expose();
        assert!(!value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(!token.life.is_zero());
    }
    let _credential = credential_helper::parse(bytes);
}

/// Checks a file of credentials.
pub fn configuration(bytes: &[u8]) {
    let Ok(config) = DockerConfig::parse(bytes) else { return };
    for (registry, repository) in [("quay.io", "a/b"), ("docker.io", "library/x"), ("[::1]:5000", "")] {
        let _found = config.credential(registry, repository);
        assert!(config.own_helper(registry).is_none_or(|helper| !helper.is_empty()));
    }
    assert!(config.store().is_none_or(|helper| !helper.is_empty()));
}
