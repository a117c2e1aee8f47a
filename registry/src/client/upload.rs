//! Sending a blob's bytes: whole in one PUT, or in chunks that can be taken up again.
//!
//! Every registry takes a whole blob but for limits of its proxies; not every one takes chunks. So the whole
//! blob is tried first, and chunks where it is refused for its form (404, 405, 413, 416, 501) or broke off
//! twice. A PUT that broke may have arrived: before the bytes go again, the registry is asked whether it has
//! them. After a broken chunk the registry's count decides where to go on.

use std::ops::Range;

use reqwest::header::{CONTENT_RANGE, HeaderValue};
use reqwest::{Method, StatusCode, Url};

use super::body::{BlobSource, Payload};
use super::error::{ClientError, ProtocolError};
use super::meter::Progress;
use super::refusal::is_temporary;
use super::retry::Tries;
use super::session::{Answer, Call, Repeat};
use super::upload_session::{Failure, Opened, Uploads, octets, received};
use crate::oci::Descriptor;

/// The length of a chunk in bytes, unless the registry wants longer ones: below the limits of the usual
/// proxies, and long enough that a round trip does not matter.
const CHUNK: u64 = 16 << 20;

/// Chunks refused for their length are halved down to this, in bytes: the default limit of nginx.
const SMALLEST_CHUNK: u64 = 512 << 10;

/// A blob to send.
pub(super) struct Upload<'a> {
    pub(super) to: Uploads<'a>,
    pub(super) blob: &'a Descriptor,
    pub(super) source: &'a BlobSource,
    pub(super) progress: Progress<'a>,
}

/// How the bytes are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Whole,
    Chunks,
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
        let mut tries = self.to.session.tries(self.to.target);
        let (mut way, mut unfit, mut broken) = (Way::Whole, None, 0);
        loop {
            let upload = match opened.take() {
                Some(upload) => upload,
                None => self.to.open().await?,
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
                    if self.to.session.has_blob(self.to.target, self.blob.digest).await? {
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

    /// Sends everything in one PUT.
    async fn whole(&self, upload: Opened, tries: &mut Tries<'_>) -> Result<(), Failure> {
        let call = Call {
            payload: Payload::Part(self.source, 0..self.blob.size),
            headers: octets(),
            progress: Some(self.progress),
            ..self
                .to
                .call(Method::PUT, Uploads::closing(upload.location, self.blob.digest))
        };
        self.to.close(&call, self.blob.digest, tries).await
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
                    self.to.pause(tries, error).await?;
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
                404 => return Err(self.to.forgotten(answer, tries).await),
                _ => return Err(Failure::Final(answer.into_error().await)),
            }
        }
        let call = self.to.call(Method::PUT, Uploads::closing(location, self.blob.digest));
        self.to.close(&call, self.blob.digest, tries).await
    }

    async fn patch(&self, location: &Url, range: Range<u64>) -> Result<Answer, ClientError> {
        // Inclusive, and without the unit that HTTP has (distribution-spec v1.1).
        let content_range = HeaderValue::try_from(format!("{}-{}", range.start, range.end - 1)).ok();
        let content_range = content_range.map(|value| (CONTENT_RANGE, value));
        let call = Call {
            headers: octets()
                .into_iter()
                .filter_map(|(name, value)| Some((name?, value)))
                .chain(content_range)
                .collect(),
            payload: Payload::Part(self.source, range.clone()),
            progress: Some(&|sent| (self.progress)(range.start + sent)),
            ..self.to.call(Method::PATCH, location.clone())
        };
        self.to.session.call(self.to.target, &call).await
    }

    /// Asks how far an open upload has come.
    async fn state(&self, location: Url, tries: &mut Tries<'_>) -> Result<(Url, u64), Failure> {
        let call = Call {
            repeat: Repeat::Freely,
            ..self.to.call(Method::GET, location.clone())
        };
        let answer = self
            .to
            .session
            .call(self.to.target, &call)
            .await
            .map_err(Failure::Final)?;
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
            StatusCode::NOT_FOUND => Err(self.to.forgotten(answer, tries).await),
            _ => Err(Failure::Final(answer.into_error().await)),
        }
    }
}
