//! A request as the protocol means it: with authorization, retries and one replay after a 401.
//!
//! Authorization goes to the registry's own origin only. An upload location elsewhere gets the bytes without
//! it, and a 401 from elsewhere is not answered.

use std::collections::{BTreeSet, VecDeque};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode, Url};

use super::authorize::{Authorization, Authorizer, Courier};
use super::body::Payload;
use super::endpoint::{Endpoints, Target};
use super::error::{ClientError, ErrorKind};
use super::meter::Progress;
use super::mirrors::Mirrors;
use super::refusal::{Access, BODY_LIMIT, Refusal};
use super::retry::{Retry, Tries};
use super::transport::{Exchange, Response, Transport};
use crate::auth::challenge::{self, Challenge};
use crate::auth::scope::ScopeSet;
use crate::oci::Reference;

/// What every request of a client shares.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) transport: Arc<Transport>,
    pub(super) authorizer: Arc<Authorizer>,
    pub(super) endpoints: Arc<Endpoints>,
    pub(super) retry: Retry,
    pub(super) mirrors: Arc<Mirrors>,
    /// Mirrors that could not be reached; they are not tried again.
    pub(super) unreachable: Mutex<BTreeSet<String>>,
}

/// Where an image is asked for, one place after the other.
pub(super) struct Places<'a> {
    session: &'a Session,
    /// The place that is to be asked now.
    pub(super) next: Reference,
    more: VecDeque<Reference>,
}

/// Whether a request may be sent again after a failure that may pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Repeat {
    /// As often as the policy allows.
    Freely,
    /// Not here: the caller must first see how far it came.
    Never,
}

/// A request to a registry.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload<'a>,
    pub(super) scopes: ScopeSet,
    pub(super) repeat: Repeat,
    pub(super) progress: Option<Progress<'a>>,
}

/// An answer, and as whom it was asked for.
pub(super) struct Answer {
    response: Response,
    access: Access,
}

impl<'a> Call<'a> {
    /// Makes a request without headers and body that may be repeated.
    pub(super) fn new(method: Method, url: Url, scopes: ScopeSet) -> Self {
        let (headers, payload, repeat, progress) = (HeaderMap::new(), Payload::Empty, Repeat::Freely, None);
        Self {
            method,
            url,
            headers,
            payload,
            scopes,
            repeat,
            progress,
        }
    }
}

impl Places<'_> {
    /// Tells whether there are more places after this one.
    pub(super) fn has_more(&self) -> bool {
        !self.more.is_empty()
    }

    /// Goes on to the next place, if there is one.
    pub(super) fn skip(&mut self) -> bool {
        let more = self.more.pop_front();
        let went_on = more.is_some();
        self.next = more.unwrap_or_else(|| self.next.clone());
        went_on
    }

    /// Goes on to the next place after a failure, if there is one and the failure is not this machine's.
    pub(super) fn advance(&mut self, error: &ClientError) -> bool {
        if error.kind() == ErrorKind::Local || self.more.is_empty() {
            return false;
        }
        tracing::warn!(%error, mirror = %self.next, "a mirror does not have it");
        let is_away = |error: &ClientError| {
            use ClientError::{Connect, Tls, UnknownHost};
            matches!(error, Connect { .. } | Tls { .. } | UnknownHost { .. })
        };
        if is_away(error) {
            let mut unreachable = self.session.unreachable.lock().unwrap_or_else(PoisonError::into_inner);
            unreachable.insert(self.next.registry().to_owned());
        }
        self.skip()
    }
}

impl Session {
    /// Returns where `reference` is asked for: mirrors first, but for those that are known not to answer.
    pub(super) fn places(&self, reference: &Reference) -> Result<Places<'_>, ClientError> {
        let mut more = VecDeque::from(self.mirrors.places(reference)?);
        let last = more.pop_back();
        {
            let unreachable = self.unreachable.lock().unwrap_or_else(PoisonError::into_inner);
            more.retain(|place| !unreachable.contains(place.registry()));
        }
        more.extend(last);
        let next = more.pop_front().unwrap_or_else(|| reference.clone());
        Ok(Places {
            session: self,
            next,
            more,
        })
    }

    /// Returns the place that `reference` names.
    pub(super) async fn target(&self, reference: &Reference) -> Result<Target, ClientError> {
        self.endpoints
            .target(&self.transport, reference.registry(), reference.repository())
            .await
    }

    /// Begins the tries of an operation that consists of several requests.
    pub(super) fn tries(&self, target: &Target) -> Tries<'_> {
        self.retry.tries(target.base())
    }

    /// Sends a request and returns the final answer, whatever its status.
    pub(super) async fn call(&self, target: &Target, call: &Call<'_>) -> Result<Answer, ClientError> {
        let courier = Courier {
            transport: &self.transport,
            retry: &self.retry,
        };
        let is_own = call.url.origin() == target.base().origin();
        let mut tries = self.retry.tries(&call.url);
        let mut authorization = Authorization::default();
        let mut may_replay = is_own;
        if is_own {
            authorization = self.authorizer.before(courier, target, &call.scopes).await?;
        }
        loop {
            tries.turn().await;
            let exchange = Exchange {
                method: &call.method,
                url: &call.url,
                headers: &call.headers,
                authorization: authorization.header.as_ref(),
                payload: &call.payload,
            };
            let outcome = self.transport.send(exchange, call.progress).await;
            let challenges = outcome.as_ref().ok().and_then(|response| challenges(response, target));
            if let Some(challenges) = challenges.filter(|_| may_replay) {
                may_replay = false;
                let scopes = &call.scopes;
                let better = self
                    .authorizer
                    .after(courier, target, scopes, challenges, &authorization)
                    .await?;
                let is_new = better.header.is_some() && better.header != authorization.header;
                authorization = better;
                if is_new {
                    continue;
                }
            }
            match tries.after(&outcome).filter(|_| call.repeat == Repeat::Freely) {
                None => {
                    return Ok(Answer {
                        response: outcome?,
                        access: access(target, call, &authorization),
                    });
                }
                Some(delay) => {
                    drop(outcome);
                    tokio::time::sleep(delay).await;
                }
            }
            // By then the token may have run out, which is another matter.
            may_replay = is_own;
            if is_own {
                authorization = self.authorizer.before(courier, target, &call.scopes).await?;
            }
        }
    }

    /// Sends a request and returns the answer with its body, if it is a success; a body that breaks off is asked
    /// for again. `what` names it in messages.
    pub(super) async fn fetch(
        &self,
        target: &Target,
        call: &Call<'_>,
        limit: u64,
        what: &str,
    ) -> Result<(Answer, Bytes), ClientError> {
        let mut tries = self.tries(target);
        loop {
            let mut answer = self.call(target, call).await?;
            if !answer.status().is_success() {
                return Ok((answer, Bytes::new()));
            }
            let error = match answer.response.body(limit, what).await {
                Ok(body) => return Ok((answer, body)),
                Err(error) => error,
            };
            match tries.after_error(&error) {
                None => return Err(error),
                Some(delay) => tokio::time::sleep(delay).await,
            }
        }
    }
}

impl Answer {
    /// Reads the registry's words and makes an error of the answer.
    pub(super) async fn refusal(mut self) -> Refusal {
        let body = self.response.prefix(BODY_LIMIT).await;
        Refusal::new(
            self.response.request().clone(),
            self.response.status(),
            &body,
            self.access,
        )
    }

    /// Makes the error that the status alone calls for.
    pub(super) async fn into_error(self) -> ClientError {
        self.refusal().await.into_error()
    }

    /// Makes the error for something that is not there, if that is what the status says.
    pub(super) async fn into_not_found(self, what: String) -> ClientError {
        let refusal = self.refusal().await;
        match refusal.status() {
            404 => ClientError::NotFound {
                what,
                refusal: Box::new(refusal),
            },
            _ => refusal.into_error(),
        }
    }
}

impl Deref for Answer {
    type Target = Response;

    fn deref(&self) -> &Response {
        &self.response
    }
}

impl DerefMut for Answer {
    fn deref_mut(&mut self) -> &mut Response {
        &mut self.response
    }
}

/// Returns the challenges of a 401 of the registry itself.
fn challenges(response: &Response, target: &Target) -> Option<Vec<Challenge>> {
    let is_asked = response.status() == StatusCode::UNAUTHORIZED && response.url().origin() == target.base().origin();
    let headers = response.headers().get_all(WWW_AUTHENTICATE).iter();
    is_asked.then(|| {
        headers
            .filter_map(|header| header.to_str().ok())
            .flat_map(challenge::parse)
            .collect()
    })
}

fn access(target: &Target, call: &Call<'_>, authorization: &Authorization) -> Access {
    Access {
        registry: target.registry.clone(),
        repository: target.repository.clone(),
        scopes: call.scopes.clone(),
        credentials: authorization.credentials.clone(),
    }
}
