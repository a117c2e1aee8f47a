//! What every way of sending a blob does in an upload that the registry has opened: open, ask, close, wait.

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RANGE};
use reqwest::{Method, StatusCode, Url};

use super::endpoint::Target;
use super::error::ClientError;
use super::resolve::{check_digest, content_digest};
use super::retry::Tries;
use super::session::{Answer, Call, Repeat, Session};
use crate::auth::scope::ScopeSet;
use crate::oci::Digest;

/// How many bytes a chunk must have at least (distribution-spec v1.1, "Pushing a blob in chunks").
const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");

/// A repository that blobs are sent to.
#[derive(Clone, Copy)]
pub(super) struct Uploads<'a> {
    pub(super) session: &'a Session,
    pub(super) target: &'a Target,
}

/// An upload that the registry has opened.
pub(super) struct Opened {
    pub(super) location: Url,
    /// In bytes; 0 if the registry does not care.
    pub(super) min_chunk: u64,
}

/// How an attempt ended that did not succeed.
pub(super) enum Failure {
    /// The registry does not take bytes in this way.
    Unfit(ClientError),
    /// It may go well from the start.
    Broken(ClientError),
    /// It will not go well.
    Final(ClientError),
}

impl Opened {
    /// Reads the answer that opens an upload.
    pub(super) fn read(answer: &Answer) -> Result<Self, ClientError> {
        let min_chunk = answer
            .header(CHUNK_MIN_LENGTH)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        Ok(Self {
            location: answer.location()?,
            min_chunk,
        })
    }
}

impl Uploads<'_> {
    /// Opens an upload.
    pub(super) async fn open(&self) -> Result<Opened, ClientError> {
        let url = self.target.url("blobs/uploads/");
        let answer = self
            .session
            .call(self.target, &Call::new(Method::POST, url, self.scopes()))
            .await?;
        match answer.status() {
            StatusCode::ACCEPTED | StatusCode::CREATED | StatusCode::OK => Opened::read(&answer),
            _ => Err(answer.into_error().await),
        }
    }

    /// Waits before an upload that the registry has forgotten is begun anew.
    pub(super) async fn forgotten(&self, answer: Answer, tries: &mut Tries<'_>) -> Failure {
        let error = answer.into_error().await;
        match tries.after_conflict() {
            None => Failure::Final(error),
            Some(delay) => {
                tokio::time::sleep(delay).await;
                Failure::Broken(error)
            }
        }
    }

    /// Sends the request that ends the upload of a blob.
    pub(super) async fn close(&self, call: &Call<'_>, blob: Digest, tries: &mut Tries<'_>) -> Result<(), Failure> {
        let answer = match self.session.call(self.target, call).await {
            Ok(answer) => answer,
            Err(error) => {
                let error = self.pause(tries, error).await?;
                return Err(Failure::Broken(error));
            }
        };
        let status = answer.status();
        if matches!(status.as_u16(), 200 | 201 | 202 | 204) {
            let what = format!("the blob `{}` as the registry got it", blob);
            let theirs = content_digest(&answer).unwrap_or(blob);
            return check_digest(&what, blob, theirs).map_err(Failure::Final);
        }
        let delay = tries.after_response(&answer);
        let refusal = answer.refusal().await;
        if refusal.has_code("DIGEST_INVALID") {
            return Err(Failure::Final(ClientError::DigestRefused(Box::new(refusal))));
        }
        match (status.as_u16(), delay) {
            (404 | 405 | 413 | 416 | 501, _) => Err(Failure::Unfit(refusal.into_error())),
            (_, Some(delay)) => {
                tokio::time::sleep(delay).await;
                Err(Failure::Broken(refusal.into_error()))
            }
            _ => Err(Failure::Final(refusal.into_error())),
        }
    }

    /// Waits after an error that may pass, and gives it back.
    pub(super) async fn pause(&self, tries: &mut Tries<'_>, error: ClientError) -> Result<ClientError, Failure> {
        match tries.after_error(&error) {
            None => Err(Failure::Final(error)),
            Some(delay) => {
                tokio::time::sleep(delay).await;
                Ok(error)
            }
        }
    }

    /// Makes a request about an upload, which its sender repeats if at all.
    pub(super) fn call<'c>(&self, method: Method, url: Url) -> Call<'c> {
        Call {
            repeat: Repeat::Never,
            ..Call::new(method, url, self.scopes())
        }
    }

    fn scopes(&self) -> ScopeSet {
        ScopeSet::push(&self.target.repository)
    }

    /// Adds the digest to a location; what its query holds is the registry's and stays.
    pub(super) fn closing(mut location: Url, digest: Digest) -> Url {
        location.query_pairs_mut().append_pair("digest", &digest.to_string());
        location
    }
}

/// Returns the header of bytes that are just bytes.
pub(super) fn octets() -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))])
}

/// Returns how many bytes a registry says that it has got.
pub(super) fn received(answer: &Answer) -> Option<u64> {
    received_of(answer.header(RANGE)?)
}

/// Reads how many bytes a registry has got from `Range: 0-LAST`. `0-0` is what an empty upload says, too; as
/// the count only decides from where to go on, the smaller one is right.
pub(super) fn received_of(range: &str) -> Option<u64> {
    let (first, last) = range.strip_prefix("bytes=").unwrap_or(range).split_once('-')?;
    match (first.trim().parse().ok()?, last.trim().parse().ok()?) {
        (0_u64, 0_u64) => Some(0),
        (0, last) => last.checked_add(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registrys_count_is_read_in_its_forms() {
        for (range, count) in [
            ("0-0", Some(0)),
            ("0-9", Some(10)),
            ("bytes=0-9", Some(10)),
            ("5-9", None),
            ("0-", None),
            ("x", None),
            ("0-18446744073709551615", None),
        ] {
            assert_eq!(received_of(range), count, "{range}");
        }
    }
}
