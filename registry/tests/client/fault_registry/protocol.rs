//! The distribution protocol as it should be: manifests, blobs with ranges, uploads in both ways.

use axum::body::Body;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use registry::oci::{Digest, MediaType};

use super::Inner;

pub(super) fn error(status: StatusCode, code: &str) -> Response {
    (
        status,
        serde_json::json!({"errors": [{"code": code, "message": code}]}).to_string(),
    )
        .into_response()
}

impl Inner {
    pub(super) fn answer(
        &mut self,
        method: &Method,
        path: &str,
        query: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Response {
        let Some((repository, kind, name)) = route(path) else {
            return if path == "/v2/" {
                StatusCode::OK.into_response()
            } else {
                error(StatusCode::NOT_FOUND, "NOT_FOUND")
            };
        };
        match (method.as_str(), kind) {
            ("GET" | "HEAD", "manifests") => match self.manifests.get(&(repository, name)) {
                Some((media_type, bytes)) => Response::builder()
                    .header("content-type", media_type)
                    .header("docker-content-digest", Digest::of(bytes).to_string())
                    .body(Body::from(bytes.clone()))
                    .unwrap(),
                None => error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
            },
            ("PUT", "manifests") => {
                let media_type = headers["content-type"].to_str().unwrap().to_owned();
                let digest = Digest::of(&body).to_string();
                for name in [name, digest.clone()] {
                    self.manifests
                        .insert((repository.clone(), name), (media_type.clone(), body.clone()));
                }
                let mut response = (StatusCode::CREATED, [("docker-content-digest", digest)]).into_response();
                if let (true, Some(subject)) = (self.manners.referrers, subject(&body)) {
                    response.headers_mut().insert("oci-subject", subject.parse().unwrap());
                }
                response
            }
            ("GET", "referrers") if self.manners.referrers => self.referrers(&repository, &name),
            ("GET", "referrers") => error(StatusCode::NOT_FOUND, "NOT_FOUND"),
            ("GET" | "HEAD", "blobs") => match name
                .parse()
                .ok()
                .and_then(|digest| self.blobs.get(&(repository, digest)))
            {
                Some(bytes) => ranged(bytes, headers),
                None => error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
            },
            ("GET", "tags") => self.tags(&repository, path, query),
            ("POST", "uploads") => self.open(&repository, query),
            ("GET" | "PATCH" | "PUT", "uploads") => self.upload(method, &repository, &name, query, headers, &body),
            _ => error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"),
        }
    }

    /// Lists two tags at a time; where the list goes on is a relative address or, for `abroad`, another server's.
    fn tags(&self, repository: &str, path: &str, query: &str) -> Response {
        let after = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("last="))
            .unwrap_or_default();
        let mut tags: Vec<&str> = self
            .manifests
            .keys()
            .filter(|(of, name)| of == repository && !name.contains(':') && name.as_str() > after)
            .map(|(_, name)| name.as_str())
            .collect();
        tags.sort_unstable();
        let page = &tags[..tags.len().min(2)];
        let body = serde_json::json!({"name": repository, "tags": page}).to_string();
        let host = if repository == "abroad" {
            "http://127.0.0.1:9"
        } else {
            ""
        };
        match page.last().filter(|_| tags.len() > 2) {
            Some(last) => (
                [("link", format!("<{host}{path}?n=2&last={last}>; rel=\"next\""))],
                body,
            )
                .into_response(),
            None => body.into_response(),
        }
    }

    /// Lists what names a manifest as its subject, all of it, as a registry that does not filter.
    fn referrers(&self, repository: &str, of: &str) -> Response {
        let referring = self.manifests.iter().filter(|((of_repository, name), (_, bytes))| {
            of_repository == repository && name.contains(':') && subject(bytes).as_deref() == Some(of)
        });
        let entries: Vec<_> = referring
            .map(|(_, (media_type, bytes))| {
                let read: serde_json::Value = serde_json::from_slice(bytes).unwrap();
                serde_json::json!({"mediaType": media_type, "digest": Digest::of(bytes).to_string(),
                    "size": bytes.len(), "artifactType": read["artifactType"]})
            })
            .collect();
        let index = serde_json::json!({"schemaVersion": 2, "mediaType": MediaType::INDEX, "manifests": entries});
        ([("content-type", MediaType::INDEX)], index.to_string()).into_response()
    }

    fn open(&mut self, repository: &str, query: &str) -> Response {
        let query = query.replace("%3A", ":").replace("%2F", "/");
        let field = |name: &str| {
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        };
        if let (Some(digest), Some(from), true) = (field("mount"), field("from"), self.mounts) {
            let digest: Digest = digest.parse().unwrap();
            if let Some(bytes) = self.blobs.get(&(from.to_owned(), digest)).cloned() {
                self.blobs.insert((repository.to_owned(), digest), bytes);
                return StatusCode::CREATED.into_response();
            }
        }
        let id = format!("u{}", self.seen.len());
        self.uploads.insert(id.clone(), Vec::new());
        opened(repository, &id, StatusCode::ACCEPTED, 0)
    }

    fn upload(
        &mut self,
        method: &Method,
        repository: &str,
        id: &str,
        query: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Response {
        assert!(
            query.contains("_state=a%3D%26b"),
            "the location's query is lost: {query}"
        );
        let Some(upload) = self.uploads.get_mut(id) else {
            return error(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN");
        };
        if *method == Method::GET {
            return opened(repository, id, StatusCode::NO_CONTENT, upload.len());
        }
        let is_stream = self.manners.streams && !headers.contains_key("content-range");
        if !is_stream {
            assert_eq!(headers["content-length"].to_str().unwrap(), body.len().to_string());
        }
        if *method == Method::PATCH {
            let range = format!("{}-{}", upload.len(), (upload.len() + body.len()).saturating_sub(1));
            if !is_stream && headers["content-range"].to_str().unwrap() != range {
                return error(StatusCode::RANGE_NOT_SATISFIABLE, "RANGE_INVALID");
            }
            upload.extend_from_slice(body);
            let status = if self.manners.other_successes {
                StatusCode::CREATED
            } else {
                StatusCode::ACCEPTED
            };
            return opened(repository, id, status, upload.len());
        }
        upload.extend_from_slice(body);
        let upload: Bytes = self.uploads.remove(id).unwrap().into();
        let digest = Digest::of(&upload);
        if !query.replace("%3A", ":").ends_with(&format!("digest={digest}")) {
            return error(StatusCode::BAD_REQUEST, "DIGEST_INVALID");
        }
        self.blobs.insert((repository.to_owned(), digest), upload);
        let status = if self.manners.other_successes {
            StatusCode::OK
        } else {
            StatusCode::CREATED
        };
        (status, [("docker-content-digest", digest.to_string())]).into_response()
    }
}

/// Answers with a relative location whose query must come back as it is.
fn opened(repository: &str, id: &str, status: StatusCode, length: usize) -> Response {
    let location = format!("/v2/{repository}/blobs/uploads/{id}?_state=a%3D%26b");
    (
        status,
        [
            ("location", location),
            ("range", format!("0-{}", length.saturating_sub(1))),
        ],
    )
        .into_response()
}

fn ranged(bytes: &Bytes, headers: &HeaderMap) -> Response {
    let Some(range) = headers.get("range") else {
        return bytes.clone().into_response();
    };
    let start: usize = range
        .to_str()
        .unwrap()
        .strip_prefix("bytes=")
        .unwrap()
        .strip_suffix('-')
        .unwrap()
        .parse()
        .unwrap();
    let content_range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
    (
        StatusCode::PARTIAL_CONTENT,
        [("content-range", content_range)],
        bytes.slice(start..),
    )
        .into_response()
}

/// Splits `/v2/REPOSITORY/KIND/NAME`.
fn route(path: &str) -> Option<(String, &'static str, String)> {
    let rest = path.strip_prefix("/v2/")?;
    for (mark, kind) in [
        ("/blobs/uploads/", "uploads"),
        ("/blobs/", "blobs"),
        ("/manifests/", "manifests"),
        ("/tags/", "tags"),
        ("/referrers/", "referrers"),
    ] {
        if let Some((repository, name)) = rest.split_once(mark) {
            return Some((repository.to_owned(), kind, name.to_owned()));
        }
    }
    None
}

/// Returns the digest of what a manifest refers to.
fn subject(manifest: &[u8]) -> Option<String> {
    let read: serde_json::Value = serde_json::from_slice(manifest).ok()?;
    read["subject"]["digest"].as_str().map(str::to_owned)
}

pub(super) fn repository(path: &str) -> Option<String> {
    route(path).map(|(repository, ..)| repository)
}
