//! Sending a blob's bytes: whole in one PUT, or in chunks that can be taken up again.
//!
//! Every registry takes a whole blob but for limits of its proxies; not every one takes chunks. So the whole
//! blob is tried first, and chunks where it is refused for its form (404, 405, 413, 416, 501) or broke off
//! twice. A PUT that broke may have arrived: before the bytes go again, the registry is asked whether it has
//! them. After a broken chunk the registry's count decides where to go on.

use std::ops::Range;

use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RANGE};
use reqwest::{Method, StatusCode, Url};

use super::body::{BlobSource, Payload, Progress};
use super::endpoint::Target;
use super::error::{ClientError, ProtocolError};
use super::refusal::is_temporary;
use super::resolve::{check_digest, content_digest};
use super::retry::Tries;
use super::session::{Answer, Call, Repeat, Session};
use crate::auth::scope::ScopeSet;
use crate::oci::Descriptor;

/// The length of a chunk in bytes, unless the registry wants longer ones: below the limits of the usual
/// proxies, and long enough that a round trip does not matter.
const CHUNK: u64 = 16 << 20;

/// Chunks refused for their length are halved down to this, in bytes: the default limit of nginx.
const SMALLEST_CHUNK: u64 = 512 << 10;

/// How many bytes a chunk must have at least (distribution-spec v1.1, "Pushing a blob in chunks").
const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");

/// A blob to send.
pub(super) struct Upload<'a> {
    pub(super) session: &'a Session,
    pub(super) target: &'a Target,
    pub(super) blob: &'a Descriptor,
    pub(super) source: &'a BlobSource,
    pub(super) progress: Progress<'a>,
}

/// An upload that the registry has opened.
pub(super) struct Opened {
    location: Url,
    /// In bytes; 0 if the registry does not care.
    min_chunk: u64,
}

/// How the bytes are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Whole,
    Chunks,
}

/// How an attempt ended that did not succeed.
enum Failure {
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

impl Way {
    fn other(self) -> Self {
        match self {
            Self::Whole => Self::Chunks,
            Self::Chunks => Self::Whole,
        }
    }
}

impl Upload<'_> {
    /// Sends the bytes; `opened` is an upload that is open already.
    pub(super) async fn run(&self, mut opened: Option<Opened>) -> Result<(), ClientError> {
        let mut tries = self.session.tries(self.target);
        let (mut way, mut unfit, mut broken) = (Way::Whole, None, 0);
        loop {
            let upload = match opened.take() {
                Some(upload) => upload,
                None => self.open().await?,
            };
            let outcome = match way {
                Way::Whole => self.whole(upload, &mut tries).await,
                Way::Chunks => self.chunks(upload, &mut tries).await,
            };
            match outcome {
                Ok(()) => {
                    (self.progress)(self.blob.size);
                    return Ok(());
                }
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Unfit(error)) if unfit == Some(way.other()) => return Err(error),
                Err(Failure::Unfit(error)) => {
                    tracing::debug!(%error, ?way, "sending the blob in the other way");
                    unfit = Some(way);
                    way = way.other();
                }
                Err(Failure::Broken(error)) => {
                    broken += 1;
                    if self.session.has_blob(self.target, self.blob.digest).await? {
                        return Ok(());
                    }
                    tracing::debug!(%error, ?way, "sending the blob again");
                    if broken == 2 && unfit.is_none() {
                        way = Way::Chunks;
                    }
                }
            }
        }
    }

    async fn open(&self) -> Result<Opened, ClientError> {
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

    /// Sends everything in one PUT.
    async fn whole(&self, upload: Opened, tries: &mut Tries<'_>) -> Result<(), Failure> {
        let call = Call {
            payload: Payload::Part(self.source, 0..self.blob.size),
            headers: HeaderMap::from_iter([(CONTENT_TYPE, octets())]),
            progress: Some(self.progress),
            ..self.call(Method::PUT, self.closing(upload.location))
        };
        self.close(&call, tries).await
    }

    /// Sends one chunk after the other, then closes the upload.
    async fn chunks(&self, upload: Opened, tries: &mut Tries<'_>) -> Result<(), Failure> {
        let Opened {
            mut location,
            min_chunk,
        } = upload;
        // What a registry wants at least may be more than there is, or than a number holds.
        let min_chunk = min_chunk.min(self.blob.size);
        let (mut offset, mut length) = (0, CHUNK.max(min_chunk));
        while offset < self.blob.size {
            let range = offset..self.blob.size.min(offset.saturating_add(length));
            let answer = match self.patch(&location, range.clone()).await {
                Ok(answer) => answer,
                Err(error) => {
                    self.pause(tries, error).await?;
                    (location, offset) = self.state(location, tries).await?;
                    continue;
                }
            };
            match answer.status().as_u16() {
                // Some registries confuse the statuses that mean success.
                200 | 201 | 202 | 204 => {
                    location = answer.location().unwrap_or(location);
                    let got = match received(&answer) {
                        // One byte, or none: see `received`.
                        Some(0) if range == (0..1) => 1,
                        Some(got) => got.min(range.end),
                        None => range.end,
                    };
                    if got <= offset && tries.after_conflict().is_none() {
                        return Err(Failure::Final(answer.into_error().await));
                    }
                    offset = got;
                    tries.reached(offset);
                }
                413 if length / 2 >= SMALLEST_CHUNK.max(min_chunk) => {
                    length /= 2;
                    (location, offset) = self.state(location, tries).await?;
                }
                404 | 405 | 413 | 501 if offset == 0 => return Err(Failure::Unfit(answer.into_error().await)),
                status if status == 416 || is_temporary(answer.status()) => {
                    let delay = if status == 416 {
                        tries.after_conflict()
                    } else {
                        tries.after_response(&answer)
                    };
                    let Some(delay) = delay else {
                        return Err(Failure::Final(answer.into_error().await));
                    };
                    tokio::time::sleep(delay).await;
                    let refused = offset;
                    (location, offset) = self.state(location, tries).await?;
                    if status == 416 && (refused, offset) == (0, 0) {
                        // It will not have the first byte, so it has it: see `received`.
                        offset = 1;
                    }
                }
                404 => return Err(self.forgotten(answer, tries).await),
                _ => return Err(Failure::Final(answer.into_error().await)),
            }
        }
        self.close(&self.call(Method::PUT, self.closing(location)), tries).await
    }

    async fn patch(&self, location: &Url, range: Range<u64>) -> Result<Answer, ClientError> {
        // Inclusive, and without the unit that HTTP has (distribution-spec v1.1).
        let content_range = HeaderValue::try_from(format!("{}-{}", range.start, range.end - 1)).ok();
        let content_range = content_range.map(|value| (CONTENT_RANGE, value));
        let call = Call {
            headers: [(CONTENT_TYPE, octets())].into_iter().chain(content_range).collect(),
            payload: Payload::Part(self.source, range.clone()),
            progress: Some(&|sent| (self.progress)(range.start + sent)),
            ..self.call(Method::PATCH, location.clone())
        };
        self.session.call(self.target, &call).await
    }

    /// Asks how far an open upload has come.
    async fn state(&self, location: Url, tries: &mut Tries<'_>) -> Result<(Url, u64), Failure> {
        let call = Call {
            repeat: Repeat::Freely,
            ..self.call(Method::GET, location.clone())
        };
        let answer = self.session.call(self.target, &call).await.map_err(Failure::Final)?;
        match answer.status() {
            StatusCode::NO_CONTENT | StatusCode::OK | StatusCode::ACCEPTED => {
                let location = answer.location().unwrap_or(location);
                let offset = received(&answer).unwrap_or(0);
                if offset > self.blob.size {
                    let range = ProtocolError::Range(offset.to_string());
                    let request = answer.request().clone();
                    return Err(Failure::Final(ClientError::Protocol { request, source: range }));
                }
                Ok((location, offset))
            }
            StatusCode::NOT_FOUND => Err(self.forgotten(answer, tries).await),
            _ => Err(Failure::Final(answer.into_error().await)),
        }
    }

    /// Waits before an upload that the registry has forgotten is begun anew.
    async fn forgotten(&self, answer: Answer, tries: &mut Tries<'_>) -> Failure {
        let error = answer.into_error().await;
        match tries.after_conflict() {
            None => Failure::Final(error),
            Some(delay) => {
                tokio::time::sleep(delay).await;
                Failure::Broken(error)
            }
        }
    }

    /// Sends the request that ends an upload.
    async fn close(&self, call: &Call<'_>, tries: &mut Tries<'_>) -> Result<(), Failure> {
        let answer = match self.session.call(self.target, call).await {
            Ok(answer) => answer,
            Err(error) => {
                let error = self.pause(tries, error).await?;
                return Err(Failure::Broken(error));
            }
        };
        let status = answer.status();
        if matches!(status.as_u16(), 200 | 201 | 202 | 204) {
            let what = format!("the blob `{}` as the registry got it", self.blob.digest);
            let theirs = content_digest(&answer).unwrap_or(self.blob.digest);
            return check_digest(&what, self.blob.digest, theirs).map_err(Failure::Final);
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
    async fn pause(&self, tries: &mut Tries<'_>, error: ClientError) -> Result<ClientError, Failure> {
        match tries.after_error(&error) {
            None => Err(Failure::Final(error)),
            Some(delay) => {
                tokio::time::sleep(delay).await;
                Ok(error)
            }
        }
    }

    fn call<'c>(&self, method: Method, url: Url) -> Call<'c> {
        Call {
            repeat: Repeat::Never,
            ..Call::new(method, url, self.scopes())
        }
    }

    fn scopes(&self) -> ScopeSet {
        ScopeSet::push(&self.target.repository)
    }

    /// Adds the digest to a location; what its query holds is the registry's and stays.
    fn closing(&self, mut location: Url) -> Url {
        location
            .query_pairs_mut()
            .append_pair("digest", &self.blob.digest.to_string());
        location
    }
}

fn octets() -> HeaderValue {
    HeaderValue::from_static("application/octet-stream")
}

/// Returns how many bytes a registry says that it has got.
fn received(answer: &Answer) -> Option<u64> {
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
