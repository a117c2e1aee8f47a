//! The token service, and the challenge to those who have not been there.

use std::time::Instant;

use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::protocol::{error, repository};
use super::{Inner, Token};

impl Inner {
    /// The token service: `t0`, `t1`, … for the scopes asked for.
    pub(super) fn issue(&mut self, query: &str, headers: &HeaderMap) -> Response {
        let Some(rules) = self.rules.clone() else {
            return error(StatusCode::NOT_FOUND, "NOT_FOUND");
        };
        let said = headers
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned());
        if said.is_some() && rules.basic.is_some() && said != rules.basic {
            return (
                StatusCode::UNAUTHORIZED,
                r#"{"details":"incorrect username or password"}"#,
            )
                .into_response();
        }
        let token = format!("t{}", self.tokens.len());
        let scopes = query.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",");
        let allowed = rules.basic.is_none() || said == rules.basic;
        self.tokens.insert(
            token.clone(),
            Token {
                uses: rules.uses.unwrap_or(usize::MAX),
                scopes: if allowed { scopes } else { String::new() },
                issued: Instant::now(),
            },
        );
        let mut answer = serde_json::json!({ "token": token });
        if let Some(seconds) = rules.expires_in {
            answer["expires_in"] = seconds.into();
        }
        answer.to_string().into_response()
    }

    pub(super) fn challenge(
        &mut self,
        address: &str,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Option<Response> {
        let rules = self.rules.clone()?;
        let repository = repository(path).unwrap_or_default();
        let actions = if matches!(*method, Method::GET | Method::HEAD) {
            "pull"
        } else {
            "pull,push"
        };
        let scope = format!("repository:{repository}:{actions}");
        let said = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        if let Some(token) = said.and_then(|token| self.tokens.get_mut(token)) {
            let needed = format!("repository:{repository}:pull");
            let enough = token.scopes.contains(if actions == "pull" { &needed } else { &scope });
            let is_fresh = rules.life.is_none_or(|life| token.issued.elapsed() < life);
            if token.uses > 0 && is_fresh && (enough || repository.is_empty()) {
                token.uses -= 1;
                return None;
            }
        }
        let realm = if rules.realm.is_empty() {
            format!("http://{address}/token")
        } else {
            rules.realm
        };
        let challenge = format!("Bearer realm=\"{realm}\",service=\"test\",scope=\"{scope}\"");
        let mut response = error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
        response
            .headers_mut()
            .insert("www-authenticate", challenge.parse().unwrap());
        Some(response)
    }
}
