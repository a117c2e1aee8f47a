//! Fetching a blob: streamed to a sink, verified, and taken up again where a connection broke.

use std::io;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, StatusCode};
use tokio::sync::mpsc;

use super::Client;
use super::endpoint::Target;
use super::error::{ClientError, ErrorKind, ProtocolError};
use super::meter::Progress;
use super::resolve::check_digest;
use super::session::{Answer, Call};
use super::transport::Response;
use crate::auth::scope::ScopeSet;
use crate::oci::{Descriptor, Digest, Hasher, Reference};

/// Takes the bytes of a blob as they come.
///
/// [`BlobSink::write`] is called with consecutive pieces. Nothing that was written may be used before
/// [`Client::fetch_blob`] returns success: only then is the digest known to be right. A sink that can forget
/// what it got says so by [`BlobSink::restart`], and gets a second chance when bytes turn out to be wrong.
pub trait BlobSink: Send {
    /// Takes the next bytes; a slow sink slows the transfer down.
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, io::Result<()>>;

    /// Forgets everything written and tells whether it could; the blob then comes again from its start.
    fn restart(&mut self) -> BoxFuture<'_, io::Result<bool>> {
        Box::pin(async { Ok(false) })
    }
}

impl BlobSink for Vec<u8> {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, io::Result<()>> {
        self.extend_from_slice(&bytes);
        Box::pin(async { Ok(()) })
    }

    fn restart(&mut self) -> BoxFuture<'_, io::Result<bool>> {
        self.clear();
        Box::pin(async { Ok(true) })
    }
}

/// The receiver is a blocking thread, as a rule; when it hangs up, the transfer ends with `BrokenPipe`.
impl BlobSink for mpsc::Sender<Bytes> {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async { self.send(bytes).await.map_err(|_| io::ErrorKind::BrokenPipe.into()) })
    }
}

/// A blob on its way.
pub(super) struct Download<'a> {
    blob: &'a Descriptor,
    what: String,
    hasher: Hasher,
    /// How many bytes the sink has got.
    offset: u64,
}

impl Client {
    /// Fetches `blob` from the repository of `from` into `sink`.
    ///
    /// `progress` is told how many bytes the sink has got. After success the sink has got exactly the bytes
    /// that the descriptor names. The descriptor's `urls` are never followed.
    pub async fn fetch_blob(
        &self,
        from: &Reference,
        blob: &Descriptor,
        sink: &mut dyn BlobSink,
        progress: Progress<'_>,
    ) -> Result<(), ClientError> {
        let mut download = Download::new(blob, &from.familiar());
        let mut places = self.session.places(&from.untagged(blob.digest))?;
        loop {
            let outcome = self.download(&places.next, &mut download, sink, progress).await;
            match outcome {
                Err(error) if places.has_more() && error.kind() != ErrorKind::Local => {
                    // What has arrived is good until its digest says otherwise; another place goes on from there.
                    let is_wrong = error.kind() == ErrorKind::Integrity;
                    if is_wrong && !download.restart(sink).await? {
                        return Err(error);
                    }
                    places.advance(&error);
                }
                outcome => return outcome,
            }
        }
    }

    /// Fetches what is left of a blob from one place.
    async fn download(
        &self,
        from: &Reference,
        download: &mut Download<'_>,
        sink: &mut dyn BlobSink,
        progress: Progress<'_>,
    ) -> Result<(), ClientError> {
        let target = self.session.target(from).await?;
        let mut tries = self.session.tries(&target);
        let mut may_restart = true;
        loop {
            // A request has its own tries; those here are for bodies that break off.
            let (mut answer, skip) = self.open_blob(&target, download).await?;
            let error = match download.receive(&mut answer, skip, sink, progress).await {
                Ok(()) => match download.verify() {
                    Ok(()) => return Ok(()),
                    Err(error) if may_restart && download.restart(sink).await? => {
                        tracing::warn!(%error, "fetching the blob once more");
                        may_restart = false;
                        continue;
                    }
                    Err(error) => return Err(error),
                },
                Err(error) => error,
            };
            tries.reached(download.offset);
            match tries.after_error(&error) {
                None => return Err(error),
                Some(delay) => tokio::time::sleep(delay).await,
            }
        }
    }

    /// Asks for the rest of a blob; returns the answer and how many of its bytes the sink has got already.
    async fn open_blob(&self, target: &Target, download: &Download<'_>) -> Result<(Answer, u64), ClientError> {
        let mut call = blob_call(target, Method::GET, download.blob.digest);
        call.headers = download.range();
        let answer = self.session.call(target, &call).await?;
        match download.start(&answer)? {
            Some(skip) => Ok((answer, skip)),
            None => {
                let what = format!("{}/{}@{}", target.registry, target.repository, download.blob.digest);
                Err(answer.into_not_found(what).await)
            }
        }
    }
}

impl<'a> Download<'a> {
    /// Begins with nothing; `from` is the place, for messages.
    pub(super) fn new(blob: &'a Descriptor, from: &str) -> Self {
        Self {
            blob,
            what: format!("the blob `{}` of `{from}`", blob.digest),
            hasher: Hasher::new(),
            offset: 0,
        }
    }

    /// Returns how many bytes the sink has got.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the headers that ask for what the sink has not got.
    pub(super) fn range(&self) -> HeaderMap {
        let begun = (self.offset > 0).then(|| (RANGE, range_from(self.offset)));
        begun.into_iter().collect()
    }

    /// Moves bytes until the blob is complete or the connection breaks.
    pub(super) async fn receive(
        &mut self,
        answer: &mut Response,
        mut skip: u64,
        sink: &mut dyn BlobSink,
        progress: Progress<'_>,
    ) -> Result<(), ClientError> {
        loop {
            let mut piece = match answer.chunk().await {
                Ok(Some(piece)) => piece,
                Ok(None) if self.offset < self.blob.size => {
                    let source = io::Error::from(io::ErrorKind::UnexpectedEof).into();
                    return Err(ClientError::Broken {
                        request: answer.request().clone(),
                        source,
                    });
                }
                Ok(None) => return Ok(()),
                // All that was to come has come: how the connection ends does not matter.
                Err(_) if self.offset == self.blob.size => return Ok(()),
                Err(error) => return Err(error),
            };
            let skipped = piece.split_to(skip.min(piece.len() as u64) as usize);
            skip -= skipped.len() as u64;
            if piece.is_empty() {
                continue;
            }
            let offset = self.offset + piece.len() as u64;
            if offset > self.blob.size {
                return Err(self.wrong_size(offset));
            }
            self.hasher.update(&piece);
            sink.write(piece).await.map_err(sink_failed(self.blob.digest))?;
            self.offset = offset;
            progress(offset);
        }
    }

    /// Returns how many bytes the body of an answer begins too early, which it does where ranges are unknown;
    /// nothing if the answer is a refusal.
    pub(super) fn start(&self, answer: &Response) -> Result<Option<u64>, ClientError> {
        match answer.status() {
            StatusCode::OK => match answer.content_length() {
                Some(length) if length != self.blob.size => Err(self.wrong_size(length)),
                _ => Ok(Some(self.offset)),
            },
            StatusCode::PARTIAL_CONTENT => {
                let text = answer.header(CONTENT_RANGE).unwrap_or_default();
                match content_range(text) {
                    Some((start, Some(total))) if start == self.offset && total != self.blob.size => {
                        Err(self.wrong_size(total))
                    }
                    Some((start, _)) if start == self.offset => Ok(Some(0)),
                    _ => {
                        let source = ProtocolError::Range(crate::text::one_line(text));
                        Err(ClientError::Protocol {
                            request: answer.request().clone(),
                            source,
                        })
                    }
                }
            }
            // The blob ends before the byte that was asked for.
            StatusCode::RANGE_NOT_SATISFIABLE => Err(self.wrong_size(self.offset)),
            _ => Ok(None),
        }
    }

    /// Begins anew, if the sink can forget what it got.
    async fn restart(&mut self, sink: &mut dyn BlobSink) -> Result<bool, ClientError> {
        let can = sink.restart().await.map_err(sink_failed(self.blob.digest))?;
        if can {
            (self.hasher, self.offset) = (Hasher::new(), 0);
        }
        Ok(can)
    }

    /// Checks the digest of all bytes, and begins a new one.
    pub(super) fn verify(&mut self) -> Result<(), ClientError> {
        check_digest(&self.what, self.blob.digest, std::mem::take(&mut self.hasher).finish())
    }

    fn wrong_size(&self, actual: u64) -> ClientError {
        ClientError::Size {
            what: self.what.clone(),
            expected: self.blob.size,
            actual,
        }
    }
}

/// Makes a request for a blob.
pub(super) fn blob_call<'a>(target: &Target, method: Method, digest: Digest) -> Call<'a> {
    Call::new(
        method,
        target.url(&format!("blobs/{digest}")),
        ScopeSet::pull(&target.repository),
    )
}

fn range_from(offset: u64) -> HeaderValue {
    HeaderValue::try_from(format!("bytes={offset}-")).unwrap_or(HeaderValue::from_static("bytes=0-"))
}

/// Reads `bytes START-END/TOTAL` as the first and the total number of bytes.
pub(super) fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.trim().split_once('/')?;
    let (start, _end) = range.split_once('-')?;
    Some((
        start.parse().ok()?,
        if total == "*" { None } else { Some(total.parse().ok()?) },
    ))
}

fn sink_failed(digest: Digest) -> impl Fn(io::Error) -> ClientError {
    move |source| ClientError::Sink { digest, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read_or_refused() {
        for (text, range) in [
            ("bytes 5-9/10", Some((5, Some(10)))),
            ("bytes 0-0/*", Some((0, None))),
            ("bytes */10", None),
            ("5-9/10", None),
            ("bytes 5-9/x", None),
            ("", None),
        ] {
            assert_eq!(content_range(text), range, "{text}");
        }
    }
}
