//! Web files: asked with the validators of last time, and downloaded when they have changed.

use std::fs::{self, File, FileTimes, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use registry::client::{WebRequest, WebResponse};
use registry::oci::{Digest, Hasher};
use tempfile::TempPath;

use super::remembered::Remembered;
use super::{FetchError, Fetched, Fetcher, Revision, archive, blocking, snapshot_name};
use crate::op::{HttpForm, HttpOp};
use crate::state_dir::unfinished;

/// The largest file that is fetched, in bytes.
const MAX_SIZE: u64 = 64 << 30;

/// Mode of a file that was downloaded, as BuildKit has it.
const MODE: u32 = 0o600;

/// A file that was just downloaded.
struct Download {
    path: TempPath,
    digest: Digest,
    etag: Option<String>,
    last_modified: Option<String>,
}

impl Fetcher {
    /// Pins a web file and makes sure that it is at hand.
    ///
    /// # Errors
    /// If the server cannot be asked, says no, or gives what the checksum does not allow.
    pub async fn http(&self, op: &HttpOp) -> Result<Fetched, FetchError> {
        let authorization = self.authorization(&op.address.url)?;
        let note = self.note(op, authorization.as_deref());
        let known = Remembered::load(&note).filter(|known| matches!(self.is_kept(&known.snapshot), Ok(true)));
        if let (Some(known), Some(checksum)) = (&known, op.checksum)
            && known.digest == checksum
        {
            return Ok(known.fetched());
        }
        let request = WebRequest {
            url: op.address.url.clone(),
            authorization,
            ..WebRequest::default()
        };
        let known = known.filter(Remembered::has_validator);
        let current = match &known {
            Some(known) if self.is_unchanged(known, &request).await => known.clone(),
            _ => {
                let Some(download) = self.download(op, &request, known.as_ref()).await? else {
                    // The server said so just now, to the validators of what is known.
                    return known.map(|known| known.fetched()).ok_or(FetchError::Status {
                        address: op.address.to_string(),
                        status: 304,
                    });
                };
                let current = self.keep(op, download).await?;
                current.save(&note, &self.scratch);
                current
            }
        };
        match op.checksum {
            Some(expected) if expected != current.digest => Err(FetchError::Checksum {
                address: op.address.to_string(),
                expected,
                actual: current.digest,
            }),
            _ => Ok(current.fetched()),
        }
    }

    /// Asks for the headers alone whether a file is still what it was. Whatever goes wrong, the answer is no: asking
    /// for the file itself will tell.
    async fn is_unchanged(&self, known: &Remembered, request: &WebRequest) -> bool {
        let request = WebRequest {
            head: true,
            etag: known.etag.clone(),
            last_modified: known.last_modified.clone(),
            ..request.clone()
        };
        match self.web.ask(&request).await {
            Ok(answer) => answer.status() == 304 || (answer.status() == 200 && known.has_etag(answer.etag())),
            Err(_) => false,
        }
    }

    /// Downloads a file; `None` if it is still the known one.
    async fn download(
        &self,
        op: &HttpOp,
        request: &WebRequest,
        known: Option<&Remembered>,
    ) -> Result<Option<Download>, FetchError> {
        let address = op.address.to_string();
        let web = |source| FetchError::Web {
            address: address.clone(),
            source: Box::new(source),
        };
        let asked = WebRequest {
            etag: known.and_then(|known| known.etag.clone()),
            last_modified: known.and_then(|known| known.last_modified.clone()),
            ..request.clone()
        };
        let mut answer = self.web.ask(&asked).await.map_err(web)?;
        match answer.status() {
            304 if known.is_some() => return Ok(None),
            200..=299 => {}
            status => return Err(FetchError::Status { address, status }),
        }
        let too_large = || FetchError::TooLarge {
            address: address.clone(),
            limit: MAX_SIZE,
        };
        let announced = answer.length();
        if announced.is_some_and(|length| length > MAX_SIZE) {
            return Err(too_large());
        }
        let created = unfinished::create(&self.scratch, "download-");
        let (mut file, path) = created.map_err(FetchError::io("create in", &self.scratch))?;
        let (mut hasher, mut received) = (Hasher::new(), 0);
        while let Some(piece) = answer.chunk().await.map_err(web)? {
            received += piece.len() as u64;
            if received > MAX_SIZE {
                return Err(too_large());
            }
            hasher.update(&piece);
            // A piece is small and goes to the page cache: no reason to change threads for it.
            file.write_all(&piece).map_err(FetchError::io("write", &path))?;
        }
        match announced {
            Some(announced) if announced != received => Err(FetchError::Truncated {
                address,
                received,
                announced,
            }),
            _ => Ok(Some(Download::new(path, hasher.finish(), &answer))),
        }
    }

    /// Makes a snapshot of what was downloaded.
    async fn keep(&self, op: &HttpOp, download: Download) -> Result<Remembered, FetchError> {
        let (snapshots, form, address) = (self.snapshots.clone(), op.form.clone(), op.address.to_string());
        blocking(move || {
            let time = download.last_modified.as_deref().and_then(seconds);
            let active = snapshots.prepare()?;
            let (described, time) = match &form {
                HttpForm::File { name } => {
                    dress(&download.path, time.unwrap_or(0))?;
                    archive::place(&download.path, name, &active)?;
                    (format!("file {name} {}", time.unwrap_or(0)), time)
                }
                HttpForm::Archive => {
                    let latest = archive::unpack(&download.path, &address, &active)?;
                    ("archive".to_owned(), time.or(latest))
                }
            };
            let snapshot = snapshot_name(
                "http",
                Digest::of(format!("{} {described}", download.digest).as_bytes()),
            )?;
            active.commit(&snapshot)?;
            Ok(Remembered {
                etag: download.etag,
                last_modified: download.last_modified,
                digest: download.digest,
                snapshot,
                time,
            })
        })
        .await
    }

    /// Returns what to send as `Authorization`: the secret `HTTP_AUTH_HEADER_<host>` as it is, or
    /// `HTTP_AUTH_TOKEN_<host>` as a bearer token.
    fn authorization(&self, url: &str) -> Result<Option<String>, FetchError> {
        let host = host_of(url);
        if let Some(header) = self.credential(&[format!("HTTP_AUTH_HEADER_{host}")])? {
            return Ok(Some(header));
        }
        let token = self.credential(&[format!("HTTP_AUTH_TOKEN_{host}")])?;
        Ok(token.map(|token| format!("Bearer {token}")))
    }

    /// Returns the place of the note about a file. What somebody was given is not for whoever asks as another.
    fn note(&self, op: &HttpOp, authorization: Option<&str>) -> PathBuf {
        let form = match &op.form {
            HttpForm::File { name } => format!("file {name:?}"),
            HttpForm::Archive => "archive".to_owned(),
        };
        let asked = format!("{form} {:?} {:?}", op.address.url, authorization);
        self.memory
            .join(format!("http-{}.json", Digest::of(asked.as_bytes()).hex()))
    }
}

impl Download {
    fn new(path: TempPath, digest: Digest, answer: &WebResponse) -> Self {
        Self {
            path,
            digest,
            etag: answer.etag().map(str::to_owned),
            last_modified: answer.last_modified().map(str::to_owned),
        }
    }
}

impl Remembered {
    fn fetched(&self) -> Fetched {
        Fetched {
            identity: self.digest,
            revision: Revision::Bytes(self.digest),
            snapshot: self.snapshot.clone(),
            time: self.time,
        }
    }
}

/// Gives a downloaded file its mode and time.
fn dress(path: &Path, seconds: i64) -> Result<(), FetchError> {
    let failed = FetchError::io("set the attributes of", path);
    let dressed = || {
        fs::set_permissions(path, Permissions::from_mode(MODE))?;
        let time = UNIX_EPOCH + Duration::from_secs(seconds.max(0).unsigned_abs());
        File::open(path)?.set_times(FileTimes::new().set_modified(time))
    };
    dressed().map_err(failed)
}

/// Reads the time of a header, as in `Sun, 06 Nov 1994 08:49:37 GMT`.
fn seconds(header: &str) -> Option<i64> {
    let time = jiff::fmt::rfc2822::parse(header).ok()?;
    Some(time.timestamp().as_second())
}

/// Returns the host of an address, without user and port.
pub(super) fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_times_are_read() {
        for (url, host) in [
            ("https://example.com/x", "example.com"),
            ("http://u:p@example.com:80/x", "example.com"),
            ("http://[::1]:80/x", "::1"),
            ("https://example.com?x", "example.com"),
        ] {
            assert_eq!(host_of(url), host);
        }
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds("yesterday"), None);
    }
}
