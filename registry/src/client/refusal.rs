//! An answer that says no: its status, the registry's own words, and what we had asked for as whom.

use std::fmt;

use reqwest::StatusCode;
use serde::Deserialize;

use super::error::{ClientError, RequestLine};
use crate::auth::CredentialSource;
use crate::auth::scope::ScopeSet;
use crate::text::one_line;

/// No error body is read further than this, in bytes.
pub(super) const BODY_LIMIT: u64 = 64 << 10;

/// No more of a registry's errors are shown.
const SHOWN_ERRORS: usize = 3;

/// As whom a request was sent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum CredentialUse {
    /// Nobody asked.
    #[default]
    NotAsked,
    /// As nobody.
    None {
        /// Why credentials could not be read, if that was tried in vain.
        problems: Vec<String>,
    },
    /// As the one found there.
    Used(CredentialSource),
    /// As the one that the store was opened for; the text says what to check.
    Given(&'static str),
    /// As nobody, because the credential found there must not go to the token service.
    Withheld {
        /// Where the credential is.
        source: CredentialSource,
        /// The token service's host.
        realm: String,
    },
}

/// What a request wanted, and as whom.
#[derive(Clone, Debug, Default)]
pub(super) struct Access {
    pub(super) registry: String,
    pub(super) repository: String,
    pub(super) scopes: ScopeSet,
    pub(super) credentials: CredentialUse,
}

/// One error of the distribution specification's envelope.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiError {
    /// The code, as in `MANIFEST_UNKNOWN`.
    pub code: String,
    /// The registry's words.
    pub message: String,
}

/// A status that says no, with everything that explains it.
#[derive(Clone, Debug)]
pub struct Refusal {
    request: RequestLine,
    status: StatusCode,
    errors: Vec<ApiError>,
    access: Access,
}

impl Refusal {
    pub(super) fn new(request: RequestLine, status: StatusCode, body: &[u8], access: Access) -> Self {
        Self {
            request,
            status,
            errors: parse(body),
            access,
        }
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// Returns the registry's own errors.
    pub fn errors(&self) -> &[ApiError] {
        &self.errors
    }

    /// Tells whether the same request may well succeed later.
    pub fn is_temporary(&self) -> bool {
        is_temporary(self.status)
    }

    /// Tells whether an error has `code`.
    pub(super) fn has_code(&self, code: &str) -> bool {
        self.errors.iter().any(|error| error.code == code)
    }

    /// Tells whether an error's words hold `words`, in any case.
    pub(super) fn says(&self, words: &str) -> bool {
        self.errors
            .iter()
            .any(|error| error.message.to_ascii_lowercase().contains(words))
    }

    /// Makes the error that the status alone calls for.
    pub(super) fn into_error(self) -> ClientError {
        let refusal = Box::new(self);
        match refusal.status {
            StatusCode::UNAUTHORIZED => ClientError::Unauthorized(refusal),
            StatusCode::FORBIDDEN => ClientError::Denied(refusal),
            _ => ClientError::Refused(refusal),
        }
    }

    /// Says what to do about a 401 or 403.
    pub(super) fn access_hint(&self) -> String {
        let registry = &self.access.registry;
        match &self.access.credentials {
            CredentialUse::NotAsked | CredentialUse::None { .. } => format!(
                "run `croze login {registry}` if it needs a password, and check the name: registries answer the \
                 same for what does not exist"
            ),
            CredentialUse::Used(source) => format!(
                "check that the account from {source} may do this, and the name: registries answer the same for \
                 what does not exist"
            ),
            CredentialUse::Given(check) => (*check).to_owned(),
            CredentialUse::Withheld { source, realm } => format!(
                "the credentials from {source} are sent to the registry's own domain only; if `{realm}` may have \
                 them, say so with `--registry-realm {realm}`"
            ),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was answered with {}", self.request, self.status)?;
        for (at, error) in self.errors.iter().take(SHOWN_ERRORS).enumerate() {
            let separator = if at == 0 { ": " } else { "; " };
            match (error.code.as_str(), error.message.as_str()) {
                (code, "") => write!(f, "{separator}{code}")?,
                ("", message) => write!(f, "{separator}{message}")?,
                (code, message) => write!(f, "{separator}{code}: {message}")?,
            }
        }
        if !matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Ok(());
        }
        match &self.access.credentials {
            CredentialUse::NotAsked | CredentialUse::Given(_) => {}
            CredentialUse::None { problems } => {
                f.write_str(" (sent without credentials")?;
                problems.iter().try_for_each(|problem| write!(f, "; {problem}"))?;
                f.write_str(")")?;
            }
            CredentialUse::Used(source) => write!(f, " (sent with the credentials from {source})")?,
            CredentialUse::Withheld { source, realm } => {
                write!(
                    f,
                    " (the credentials from {source} were not sent to the foreign token service `{realm}`)"
                )?;
            }
        }
        let Access {
            registry,
            repository,
            scopes,
            ..
        } = &self.access;
        if !repository.is_empty() {
            write!(f, "; needed on `{registry}`: `{scopes}`")?;
        }
        Ok(())
    }
}

/// Tells whether a status means "later".
pub(super) fn is_temporary(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429) || status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
}

/// Reads the envelope of the specification, a token service's `details`, what stores of objects say, or the first line of
/// any text.
pub(super) fn parse(body: &[u8]) -> Vec<ApiError> {
    #[derive(Deserialize)]
    struct Envelope {
        #[serde(default)]
        errors: Vec<One>,
        #[serde(default)]
        details: Option<String>,
        #[serde(default)]
        error: Option<String>,
        #[serde(default)]
        error_description: Option<String>,
        /// Twirp: GitHub's cache service.
        #[serde(default)]
        code: Option<String>,
        #[serde(default)]
        msg: Option<String>,
    }
    #[derive(Deserialize)]
    struct One {
        #[serde(default)]
        code: serde_json::Value,
        #[serde(default)]
        message: Option<String>,
    }
    let api_error = |code: &str, message: &str| ApiError {
        code: one_line(code),
        message: one_line(message),
    };
    if let Ok(envelope) = serde_json::from_slice::<Envelope>(body) {
        let code = |value: &serde_json::Value| match value {
            serde_json::Value::String(code) => code.clone(),
            serde_json::Value::Null => String::new(),
            other => other.to_string(),
        };
        let errors = envelope.errors.iter();
        let mut errors: Vec<ApiError> = errors
            .map(|error| api_error(&code(&error.code), error.message.as_deref().unwrap_or_default()))
            .collect();
        let words = envelope.error_description.or(envelope.details).or(envelope.msg);
        let code = envelope.error.or(envelope.code);
        if errors.is_empty() && (code.is_some() || words.is_some()) {
            errors.push(api_error(&code.unwrap_or_default(), &words.unwrap_or_default()));
        }
        return errors;
    }
    let whole = String::from_utf8_lossy(body);
    // S3, and the storage behind GitHub's cache, speak XML.
    if let Some(code) = element(&whole, "Code") {
        return vec![api_error(code, element(&whole, "Message").unwrap_or_default())];
    }
    let text = one_line(&whole);
    // A proxy's page of HTML explains nothing on one line.
    if text.is_empty() || text.starts_with('<') {
        return Vec::new();
    }
    vec![ApiError {
        code: String::new(),
        message: text,
    }]
}

/// Returns the text of the first element of a name.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_error_body_is_understood() {
        for (body, code, message) in [
            (
                r#"{"errors":[{"code":"DENIED","message":"no","detail":{}}]}"#,
                "DENIED",
                "no",
            ),
            (r#"{"errors":[{"code":"UNKNOWN","message":null}]}"#, "UNKNOWN", ""),
            (r#"{"errors":[{"code":404,"message":"x"}]}"#, "404", "x"),
            (
                r#"{"details":"incorrect username or password"}"#,
                "",
                "incorrect username or password",
            ),
            (
                r#"{"error":"invalid_grant","error_description":"expired"}"#,
                "invalid_grant",
                "expired",
            ),
            (
                "<?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code><Message>none\nhere</Message></Error>",
                "NoSuchBucket",
                "none",
            ),
            (r#"{"code":"permission_denied","msg":"no"}"#, "permission_denied", "no"),
            ("plain words\nmore", "", "plain words"),
            ("evil \x1b[2J", "", "evil \\u{1b}[2J"),
        ] {
            let expected = ApiError {
                code: code.to_owned(),
                message: message.to_owned(),
            };
            assert_eq!(parse(body.as_bytes()), [expected], "{body}");
        }
        assert_eq!(parse(b"<html>502"), []);
        assert_eq!(parse(b""), []);
    }
}
