//! Sending a blob while it is made: one PATCH of unknown length, and its digest at the end.
//!
//! It is the way of Docker's own client, so every registry knows it; a proxy between may not (413), or the line may
//! never hold for so long. What broke begins anew, with a new upload and the same bytes made once more; if that breaks
//! too, or the registry will not have it, the caller is told so: a file can be sent in ways that can be taken up again.

use std::sync::Arc;

use reqwest::{Method, StatusCode};

use super::body::Payload;
use super::error::{ClientError, ProtocolError};
use super::made::{BlobMaker, Making};
use super::meter::Progress;
use super::push::Pushed;
use super::refusal::is_temporary;
use super::retry::Tries;
use super::session::{Answer, Call};
use super::upload_session::{Failure, Opened, Uploads, octets, received};
use crate::content::Measured;

/// How often a blob is made and sent at most.
const STREAMS: u32 = 2;

/// What came of pushing a blob that is made while it is sent.
#[derive(Debug)]
pub enum Streamed {
    /// The registry has the blob that was asked for, and took no bytes.
    There(Pushed),
    /// It has taken these bytes.
    Sent(Measured),
    /// It does not take a blob as one stream, or the stream breaks: another way may do.
    Unfit(ClientError),
}

/// A blob to make and send.
pub(super) struct Stream<'a> {
    pub(super) to: Uploads<'a>,
    pub(super) maker: &'a Arc<dyn BlobMaker>,
    pub(super) progress: Progress<'a>,
}

impl Stream<'_> {
    /// Sends the bytes; `opened` is an upload that is open already.
    pub(super) async fn run(&self, mut opened: Option<Opened>) -> Result<Streamed, ClientError> {
        let mut tries = self.to.session.tries(self.to.target);
        let mut broken = 0;
        loop {
            let upload = match opened.take() {
                Some(upload) => upload,
                None => self.to.open().await?,
            };
            match self.once(upload, &mut tries).await {
                Ok(measured) => {
                    (self.progress)(measured.size);
                    return Ok(Streamed::Sent(measured));
                }
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Unfit(error)) => {
                    tracing::debug!(%error, "the registry takes no blob in one stream");
                    return Ok(Streamed::Unfit(error));
                }
                Err(Failure::Broken(error)) => {
                    tracing::debug!(%error, "a blob did not arrive while it was made");
                    broken += 1;
                    if broken == STREAMS {
                        return Ok(Streamed::Unfit(error));
                    }
                }
            }
        }
    }

    async fn once(&self, upload: Opened, tries: &mut Tries<'_>) -> Result<Measured, Failure> {
        let making = Making::by(self.maker);
        let call = Call {
            payload: Payload::Made(&making),
            headers: octets(),
            progress: Some(self.progress),
            ..self.to.call(Method::PATCH, upload.location.clone())
        };
        let answer = match self.to.session.call(self.to.target, &call).await {
            Ok(answer) => answer,
            Err(error) => return Err(Failure::Broken(self.to.pause(tries, error).await?)),
        };
        if !matches!(answer.status().as_u16(), 200 | 201 | 202 | 204) {
            return Err(self.refused(answer, tries).await);
        }
        let measured = self.taken(&answer, &making)?;
        let location = answer.location().unwrap_or(upload.location);
        let close = self.to.call(Method::PUT, Uploads::closing(location, measured.digest));
        match self.to.close(&close, measured.digest, tries).await {
            Ok(()) => Ok(measured),
            Err(Failure::Final(error)) => Err(Failure::Final(error)),
            // An upload that took all bytes and cannot be closed is lost, if its end was not.
            Err(Failure::Broken(error) | Failure::Unfit(error)) => {
                let has_blob = self.to.session.has_blob(self.to.target, measured.digest).await;
                match has_blob.map_err(Failure::Final)? {
                    true => Ok(measured),
                    false => Err(Failure::Broken(error)),
                }
            }
        }
    }

    /// Finds out what it means that the bytes were not taken.
    async fn refused(&self, answer: Answer, tries: &mut Tries<'_>) -> Failure {
        match answer.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::Final(answer.into_error().await),
            StatusCode::NOT_FOUND => self.to.forgotten(answer, tries).await,
            status if is_temporary(status) => {
                let delay = tries.after_response(&answer);
                let error = answer.into_error().await;
                match delay {
                    None => Failure::Final(error),
                    Some(delay) => {
                        tokio::time::sleep(delay).await;
                        Failure::Broken(error)
                    }
                }
            }
            status if status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED => {
                Failure::Unfit(answer.into_error().await)
            }
            _ => Failure::Final(answer.into_error().await),
        }
    }

    /// Returns what was sent, if the registry has taken all of it.
    fn taken(&self, answer: &Answer, making: &Making) -> Result<Measured, Failure> {
        let cut = |range: String| {
            let (request, source) = (answer.request().clone(), ProtocolError::Range(range));
            Failure::Broken(ClientError::Protocol { request, source })
        };
        let Some(measured) = making.measured() else {
            return Err(cut("0-".to_owned()));
        };
        match received(answer) {
            // One byte, or none: see `received`.
            None | Some(0) if measured.size <= 1 => Ok(measured),
            Some(got) if got != measured.size => Err(cut(format!("0-{}", got.saturating_sub(1)))),
            _ => Ok(measured),
        }
    }
}
