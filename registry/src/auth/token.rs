//! Asking a token service: the request to send and the reading of its answer. Pure.
//!
//! A password goes with a GET and Basic authentication, which every service takes; an identity token is an
//! OAuth2 refresh token and goes in the form of a POST.

use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;

use super::challenge::BearerChallenge;
use super::scope::ScopeSet;
use super::{Credential, Secret};

/// How long a token lives whose answer does not say (distribution's token specification).
const DEFAULT_LIFE: Duration = Duration::from_secs(60);

/// No service's word is taken for longer than this.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// A request to a token service.
#[derive(Debug)]
pub(crate) struct TokenRequest {
    /// Where to, with the query.
    pub(crate) url: Url,
    /// The base64 of user name and password, for Basic authentication.
    pub(crate) basic: Option<Secret>,
    /// The form of a POST; a GET without it.
    pub(crate) form: Option<Secret>,
}

/// A token and how long it is good for.
#[derive(Debug)]
pub(crate) struct Token {
    /// The token.
    pub(crate) value: Secret,
    /// From the time it was issued.
    pub(crate) life: Duration,
}

/// The answer is no token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoToken;

impl TokenRequest {
    /// Says how to ask the service at `realm` for `scopes`.
    pub(crate) fn new(
        realm: &Url,
        challenge: &BearerChallenge,
        scopes: &ScopeSet,
        credential: Option<&Credential>,
    ) -> Self {
        let service = challenge.service.as_deref().unwrap_or_default();
        if let Some(Credential::IdentityToken(token)) = credential {
            return Self {
                url: realm.clone(),
                basic: None,
                form: Some(refresh_form(service, scopes, token)),
            };
        }
        let mut url = realm.clone();
        let mut basic = None;
        {
            let mut query = url.query_pairs_mut();
            if !service.is_empty() {
                query.append_pair("service", service);
            }
            if let Some(Credential::Password { username, password }) = credential {
                query.append_pair("account", username);
                basic = Some(Credential::encode(username, password));
            }
            for scope in scopes.iter() {
                query.append_pair("scope", scope);
            }
        }
        Self { url, basic, form: None }
    }
}

fn refresh_form(service: &str, scopes: &ScopeSet, token: &Secret) -> Secret {
    let scope = scopes.to_string();
    let pairs = [
        ("grant_type", "refresh_token"),
        ("service", service),
        ("client_id", "croze"),
        ("scope", &scope),
        ("refresh_token", token.expose()),
    ];
    let encode = |text: &str| -> String {
        // Everything but unreserved characters, which is always right (RFC 3986, section 2.3).
        text.bytes().fold(String::new(), |mut out, byte| {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
                byte => out.push_str(&format!("%{byte:02X}")),
            }
            out
        })
    };
    let form: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    Secret::new(form.join("&"))
}

impl Token {
    /// Reads a token service's answer.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, NoToken> {
        #[derive(Deserialize)]
        struct Answer {
            token: Option<String>,
            access_token: Option<String>,
            expires_in: Option<f64>,
        }
        let answer: Answer = serde_json::from_slice(body).map_err(|_| NoToken)?;
        let value = answer
            .token
            .filter(|token| !token.is_empty())
            .or(answer.access_token)
            .ok_or(NoToken)?;
        if value.is_empty() || !value.bytes().all(|c| c.is_ascii_graphic()) {
            return Err(NoToken);
        }
        let stated = answer.expires_in.filter(|seconds| *seconds > 0.0);
        let life = stated
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .unwrap_or(DEFAULT_LIFE);
        Ok(Self {
            value: Secret::new(value),
            life: life.min(LONGEST_LIFE),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(credential: Option<Credential>) -> TokenRequest {
        let challenge = BearerChallenge {
            service: Some("s p".to_owned()),
            ..BearerChallenge::default()
        };
        let scopes = ScopeSet::push("a/b").and(ScopeSet::pull("base"));
        TokenRequest::new(
            &Url::parse("https://r/t?x=y").unwrap(),
            &challenge,
            &scopes,
            credential.as_ref(),
        )
    }

    #[test]
    fn a_password_goes_in_a_header_and_scopes_in_the_query() {
        let anonymous = request(None);
        let url = "https://r/t?x=y&service=s+p&scope=repository%3Aa%2Fb%3Apull%2Cpush&scope=repository%3Abase%3Apull";
        assert_eq!(
            (anonymous.url.as_str(), anonymous.basic, anonymous.form),
            (url, None, None)
        );
        let basic = request(Some(Credential::password("me", "hunter2")));
        assert!(
            basic.url.as_str().contains("account=me") && !basic.url.as_str().contains("hunter2"),
            "{}",
            basic.url
        );
        assert_eq!(basic.basic.unwrap().expose(), "bWU6aHVudGVyMg==");
    }

    #[test]
    fn an_identity_token_goes_in_a_form() {
        let refresh = request(Some(Credential::IdentityToken(Secret::new("a+b/c="))));
        assert_eq!((refresh.url.as_str(), refresh.basic), ("https://r/t?x=y", None));
        let form = "grant_type=refresh_token&service=s%20p&client_id=croze\
                    &scope=repository%3Aa%2Fb%3Apull%2Cpush%20repository%3Abase%3Apull&refresh_token=a%2Bb%2Fc%3D";
        assert_eq!(refresh.form.unwrap().expose(), form);
    }

    #[test]
    fn answers_are_read_or_refused() {
        for (body, token) in [
            (r#"{"token":"t","expires_in":300}"#, Some(("t", 300))),
            (r#"{"access_token":"t"}"#, Some(("t", 60))),
            (r#"{"token":"","access_token":"u","expires_in":0}"#, Some(("u", 60))),
            (r#"{"token":"t","expires_in":1e300}"#, Some(("t", 60))),
            (r#"{"token":"t","expires_in":999999999}"#, Some(("t", 86400))),
            (r#"{"token":"a\r\nX-Evil: 1"}"#, None),
            (r#"{"token":""}"#, None),
            ("{}", None),
            ("<html>", None),
        ] {
            let parsed = Token::parse(body.as_bytes()).ok();
            let parsed = parsed.as_ref().map(|t| (t.value.expose(), t.life.as_secs()));
            assert_eq!(parsed, token, "{body}");
        }
    }
}
