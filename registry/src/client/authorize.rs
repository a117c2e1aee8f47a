//! Meeting challenges: remembers what each registry demands and keeps the tokens it gave.
//!
//! Tokens are kept by registry and scopes. One task at a time asks for a token of the same kind; the others
//! wait and take the same one. A token is replaced after four fifths of its life, so that it does not run out
//! between a request's head and its end, or when the registry refuses it.

use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use tokio::sync::{Mutex as AsyncMutex, OnceCell};

use super::body::Payload;
use super::endpoint::Target;
use super::error::{ClientError, ProtocolError, RequestLine};
use super::redirect;
use super::refusal::{Access, BODY_LIMIT, CredentialUse, Refusal};
use super::retry::Retry;
use super::transport::{Exchange, Response, Transport};
use crate::auth::challenge::{BearerChallenge, Challenge};
use crate::auth::realm::{self, Trust};
use crate::auth::scope::ScopeSet;
use crate::auth::token::{Token, TokenRequest};
use crate::auth::{Credential, CredentialSource, Credentials, Lookup, Secret};
use crate::text::one_line;

/// No token is longer, in bytes.
const TOKEN_LIMIT: u64 = 1 << 20;

/// The value of an `Authorization` header, or none, and as whom it speaks.
#[derive(Clone, Debug, Default)]
pub(super) struct Authorization {
    pub(super) header: Option<HeaderValue>,
    pub(super) credentials: CredentialUse,
}

/// Finds the authorization for requests.
#[derive(Debug)]
pub(super) struct Authorizer {
    credentials: Credentials,
    trusted_realms: BTreeSet<String>,
    /// What registries demanded when last asked.
    demands: Mutex<HashMap<String, Challenge>>,
    /// Credentials by registry and repository: a helper is a process and need not run twice.
    lookups: Shared<(String, String), OnceCell<Arc<Lookup>>>,
    tokens: Shared<(String, ScopeSet), AsyncMutex<Option<Held>>>,
}

/// Values that tasks share by key; the map is locked only to find one.
type Shared<K, V> = Mutex<HashMap<K, Arc<V>>>;

/// A token that was given, and for how long it is used.
#[derive(Debug)]
struct Held {
    authorization: Authorization,
    scopes: ScopeSet,
    use_until: Instant,
}

/// What sending a request to a token service takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Courier<'a> {
    pub(super) transport: &'a Transport,
    pub(super) retry: &'a Retry,
}

impl Authorizer {
    pub(super) fn new(credentials: Credentials, trusted_realms: BTreeSet<String>) -> Self {
        let (demands, lookups, tokens) = Default::default();
        Self {
            credentials,
            trusted_realms,
            demands,
            lookups,
            tokens,
        }
    }

    /// Returns the authorization to begin with: none until the registry has demanded something.
    pub(super) async fn before(
        &self,
        courier: Courier<'_>,
        target: &Target,
        scopes: &ScopeSet,
    ) -> Result<Authorization, ClientError> {
        let demand = self
            .demands
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&target.registry)
            .cloned();
        match demand {
            None => Ok(Authorization::default()),
            Some(Challenge::Basic) => Ok(self.basic(target).await),
            Some(Challenge::Bearer(bearer)) => self.bearer(courier, target, &bearer, scopes, None).await,
        }
    }

    /// Returns a better authorization after a 401 with these challenges, or none if there is none.
    pub(super) async fn after(
        &self,
        courier: Courier<'_>,
        target: &Target,
        scopes: &ScopeSet,
        challenges: Vec<Challenge>,
        refused: &Authorization,
    ) -> Result<Authorization, ClientError> {
        let is_bearer = |challenge: &Challenge| matches!(challenge, Challenge::Bearer(_));
        let bearer = challenges
            .iter()
            .position(is_bearer)
            .or((!challenges.is_empty()).then_some(0));
        let Some(demand) = bearer.and_then(|at| challenges.into_iter().nth(at)) else {
            return Ok(refused.clone());
        };
        let authorization = match &demand {
            Challenge::Basic => self.basic(target).await,
            Challenge::Bearer(bearer) => {
                self.bearer(courier, target, bearer, scopes, refused.header.as_ref())
                    .await?
            }
        };
        // A demand that cannot be met is not remembered: it may be another one the next time.
        let mut demands = self.demands.lock().unwrap_or_else(PoisonError::into_inner);
        demands.insert(target.registry.clone(), demand);
        Ok(authorization)
    }

    async fn basic(&self, target: &Target) -> Authorization {
        let lookup = self.lookup(target).await;
        match &lookup.found {
            Some((Credential::Password { username, password }, source)) => Authorization {
                header: header("Basic", &Credential::encode(username, password)),
                credentials: CredentialUse::Used(source.clone()),
            },
            Some((Credential::RegistryToken(token), source)) => given_token(token, source),
            Some((Credential::IdentityToken(_), _)) | None => Authorization {
                header: None,
                credentials: CredentialUse::None {
                    problems: describe(&lookup.problems),
                },
            },
        }
    }

    async fn bearer(
        &self,
        courier: Courier<'_>,
        target: &Target,
        bearer: &BearerChallenge,
        scopes: &ScopeSet,
        refused: Option<&HeaderValue>,
    ) -> Result<Authorization, ClientError> {
        let slot = {
            let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(tokens.entry((target.registry.clone(), scopes.clone())).or_default())
        };
        let mut held = slot.lock().await;
        if let Some(held) = held.as_ref() {
            // Another task may have replaced the refused token while this one waited.
            if held.use_until > Instant::now() && held.authorization.header.as_ref() != refused {
                return Ok(held.authorization.clone());
            }
        }
        let known = held.as_ref().map_or(scopes, |held| &held.scopes).clone();
        // Only a refusal's scope is about the request at hand.
        let wanted = if refused.is_some() || held.is_none() {
            known.with_challenge(&bearer.scope)
        } else {
            known
        };
        let new = self.fetch(courier, target, bearer, wanted).await?;
        let authorization = new.authorization.clone();
        *held = Some(new);
        Ok(authorization)
    }

    /// Asks the token service.
    async fn fetch(
        &self,
        courier: Courier<'_>,
        target: &Target,
        bearer: &BearerChallenge,
        scopes: ScopeSet,
    ) -> Result<Held, ClientError> {
        let refuse = || ClientError::Realm {
            registry: target.registry.clone(),
            realm: one_line(&bearer.realm),
        };
        let lookup = self.lookup(target).await;
        let found = lookup.found.as_ref();
        if let Some((Credential::RegistryToken(token), source)) = found {
            let use_until = Instant::now() + Duration::from_secs(3600);
            return Ok(Held {
                authorization: given_token(token, source),
                scopes,
                use_until,
            });
        }
        let realm = Url::parse(&bearer.realm).map_err(|_| refuse())?;
        let host = realm.host_str().unwrap_or_default().to_owned();
        let (credential, credentials) = match (realm::judge(target.base(), &realm, &self.trusted_realms), found) {
            (Trust::None, _) => return Err(refuse()),
            (Trust::Full, Some((credential, source))) => (Some(credential), CredentialUse::Used(source.clone())),
            (Trust::Anonymous, Some((_, source))) => (
                None,
                CredentialUse::Withheld {
                    source: source.clone(),
                    realm: host,
                },
            ),
            (_, None) => {
                let problems = describe(&lookup.problems);
                (None, CredentialUse::None { problems })
            }
        };
        let request = TokenRequest::new(&realm, bearer, &scopes, credential);
        let access = Access {
            registry: target.registry.clone(),
            repository: target.repository.clone(),
            scopes: scopes.clone(),
            credentials: credentials.clone(),
        };
        // The life is counted from before the request, so that it never seems longer than it is.
        let asked = Instant::now();
        let token = courier.ask(&request, access).await?;
        let authorization = Authorization {
            header: header("Bearer", &token.value),
            credentials,
        };
        Ok(Held {
            authorization,
            scopes,
            use_until: asked + token.life.mul_f64(0.8),
        })
    }

    async fn lookup(&self, target: &Target) -> Arc<Lookup> {
        let key = (target.registry.clone(), target.repository.clone());
        let cell = {
            let mut lookups = self.lookups.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(lookups.entry(key).or_default())
        };
        let search = || async { Arc::new(self.credentials.lookup(&target.registry, &target.repository).await) };
        Arc::clone(cell.get_or_init(search).await)
    }
}

impl Courier<'_> {
    /// Sends a token request; it is tried again like any other, but follows no redirect to another origin.
    async fn ask(&self, request: &TokenRequest, access: Access) -> Result<Token, ClientError> {
        let mut tries = self.retry.tries(&request.url);
        let mut response = loop {
            tries.turn().await;
            let outcome = self.send(request).await;
            let Some(delay) = tries.after(&outcome) else {
                break outcome?;
            };
            drop(outcome);
            tokio::time::sleep(delay).await;
        };
        let (line, status) = (response.request().clone(), response.status());
        if status.is_success() {
            let body = response.body(TOKEN_LIMIT, "a token").await?;
            return Token::parse(&body).map_err(|_| ClientError::NoToken { request: line });
        }
        let body = response.prefix(BODY_LIMIT).await;
        let refusal = Refusal::new(line, status, &body, access);
        Err(match status {
            // Services say a wrong password in each of these.
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => ClientError::Unauthorized(Box::new(refusal)),
            _ => refusal.into_error(),
        })
    }

    async fn send(&self, request: &TokenRequest) -> Result<Response, ClientError> {
        let mut headers = HeaderMap::new();
        let (method, payload) = match &request.form {
            None => (Method::GET, Payload::Empty),
            Some(form) => {
                let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
                headers.insert(CONTENT_TYPE, form_type);
                (Method::POST, Payload::Bytes(form.expose().to_owned().into()))
            }
        };
        let basic = request.basic.as_ref().and_then(|basic| header("Basic", basic));
        let mut url = request.url.clone();
        for _ in 0..=redirect::MOST_REDIRECTS {
            let exchange = Exchange {
                method: &method,
                url: &url,
                headers: &headers,
                authorization: basic.as_ref(),
                payload: &payload,
            };
            let response = self.transport.send_once(&exchange, None).await?;
            if !redirect::is_redirect(&method, response.status()) {
                return Ok(response);
            }
            let next = response.location()?;
            if next.origin() != url.origin() {
                let source = ProtocolError::TokenElsewhere(next.host_str().unwrap_or_default().to_owned());
                return Err(ClientError::Protocol {
                    request: response.request().clone(),
                    source,
                });
            }
            url = next;
        }
        let source = ProtocolError::TooManyRedirects(redirect::MOST_REDIRECTS);
        Err(ClientError::Protocol {
            request: RequestLine::new(&method, &request.url),
            source,
        })
    }
}

fn given_token(token: &Secret, source: &CredentialSource) -> Authorization {
    Authorization {
        header: header("Bearer", token),
        credentials: CredentialUse::Used(source.clone()),
    }
}

/// Makes the value of an `Authorization` header, marked so that neither logs nor HTTP/2's tables keep it.
fn header(scheme: &str, secret: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("{scheme} {}", secret.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Renders problems with their causes.
fn describe(problems: &[crate::auth::CredentialsError]) -> Vec<String> {
    let with_cause = |problem: &crate::auth::CredentialsError| match problem.source() {
        Some(cause) => format!("{problem}: {cause}"),
        None => problem.to_string(),
    };
    problems.iter().map(with_cause).collect()
}
