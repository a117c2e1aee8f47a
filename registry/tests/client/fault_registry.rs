//! A registry in this process, in memory, strict about the protocol, that fails as its script says and
//! remembers every request with its headers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use registry::oci::{Descriptor, Digest, Reference};

use crate::faults::{Fault, Script};

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) at: std::time::Instant,
}

/// How the registry wants to be asked; `None` of a field is the easier way.
#[derive(Clone, Default, Debug)]
pub(crate) struct TokenRules {
    /// The realm of challenges; this registry's own `/token` if empty.
    pub(crate) realm: String,
    /// The `Authorization` that the token service demands for a token that is good for anything.
    pub(crate) basic: Option<String>,
    /// How many requests a token is good for.
    pub(crate) uses: Option<usize>,
    /// What the token service says of a token's life, in seconds.
    pub(crate) expires_in: Option<u64>,
}

#[derive(Default)]
struct Inner {
    script: Script,
    seen: Vec<Seen>,
    blobs: HashMap<(String, Digest), Bytes>,
    manifests: HashMap<(String, String), (String, Bytes)>,
    uploads: HashMap<String, Vec<u8>>,
    mounts: bool,
    rules: Option<TokenRules>,
    /// Uses left and scopes by token.
    tokens: HashMap<String, (usize, String)>,
}

/// The registry; it ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct FaultRegistry {
    pub(crate) address: String,
    inner: Arc<Mutex<Inner>>,
}

impl FaultRegistry {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let inner = Arc::new(Mutex::new(Inner {
            mounts: true,
            ..Inner::default()
        }));
        let registry = Self { address, inner };
        let app = Router::new().fallback(serve).with_state(registry.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        registry
    }

    pub(crate) fn reference(&self, name: &str) -> Reference {
        crate::fixtures::reference(&format!("{}/{name}", self.address))
    }

    /// Lets the next `times` requests of this kind fail.
    pub(crate) fn fail(&self, method: Method, path_part: &str, times: usize, fault: Fault) {
        self.lock().script.add(method, path_part, times, fault);
    }

    pub(crate) fn demand_tokens(&self, rules: TokenRules) {
        self.lock().rules = Some(rules);
    }

    pub(crate) fn put_blob(&self, repository: &str, bytes: &Bytes) -> Descriptor {
        let descriptor = crate::fixtures::layer(bytes);
        self.lock()
            .blobs
            .insert((repository.to_owned(), descriptor.digest), bytes.clone());
        descriptor
    }

    /// Keeps a manifest under a tag and under its digest.
    pub(crate) fn put_manifest(&self, repository: &str, tag: &str, media_type: &str, bytes: &Bytes) {
        let mut inner = self.lock();
        for name in [tag.to_owned(), Digest::of(bytes).to_string()] {
            inner
                .manifests
                .insert((repository.to_owned(), name), (media_type.to_owned(), bytes.clone()));
        }
    }

    pub(crate) fn blob(&self, repository: &str, digest: Digest) -> Option<Bytes> {
        self.lock().blobs.get(&(repository.to_owned(), digest)).cloned()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    /// Counts the requests of a kind.
    pub(crate) fn count(&self, method: Method, path_part: &str) -> usize {
        self.seen()
            .iter()
            .filter(|seen| seen.method == method && seen.path.contains(path_part))
            .count()
    }

    /// Tells whether any request brought an `Authorization`.
    pub(crate) fn was_told_anything(&self) -> bool {
        self.seen()
            .iter()
            .any(|seen| seen.headers.contains_key("authorization"))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }
}

async fn serve(State(registry): State<FaultRegistry>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let (method, path) = (parts.method, parts.uri.path().to_owned());
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let seen = Seen {
        method: method.clone(),
        path: path.clone(),
        query: query.clone(),
        headers: parts.headers.clone(),
        at: std::time::Instant::now(),
    };
    let fault = {
        let mut inner = registry.lock();
        inner.seen.push(seen);
        inner.script.take(&method, &path)
    };
    if let Some(Fault::Answer { status, headers, body }) = fault {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        return response.body(Body::from(body)).unwrap();
    }
    if path == "/token" {
        let form = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        let asked = format!("{query}&{}", String::from_utf8_lossy(&form));
        return registry.lock().issue(&asked, &parts.headers);
    }
    if let Some(refusal) = registry
        .lock()
        .challenge(&registry.address, &method, &path, &parts.headers)
    {
        return refusal;
    }
    let mut headers = parts.headers;
    if matches!(fault, Some(Fault::IgnoreRange)) {
        headers.remove("range");
    }
    let body = match fault {
        Some(Fault::TakeThenBreak(length)) => {
            let taken = take(body, length).await;
            let id = path.rsplit('/').next().unwrap_or_default().to_owned();
            registry.lock().uploads.entry(id).or_default().extend_from_slice(&taken);
            break_connection()
        }
        _ => axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default(),
    };
    let response = registry.lock().answer(&method, &path, &query, &headers, body);
    match fault {
        Some(Fault::BreakAfter(length)) => cut(response, length, stream::iter([Err("broken")]).boxed()).await,
        Some(Fault::StallAfter(length)) => cut(response, length, stream::pending().boxed()).await,
        Some(Fault::FlipBit) => {
            let (parts, body) = response.into_parts();
            let mut bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
            bytes[0] ^= 1;
            Response::from_parts(parts, bytes.into())
        }
        Some(Fault::Header(name, value)) => {
            let (mut parts, body) = response.into_parts();
            parts.headers.insert(name, value.parse().unwrap());
            Response::from_parts(parts, body)
        }
        Some(Fault::Swallow) => break_connection(),
        _ => response,
    }
}

/// Ends the task that serves the connection, without the noise of a panic.
fn break_connection() -> ! {
    std::panic::resume_unwind(Box::new(()))
}

async fn take(body: Body, length: usize) -> Vec<u8> {
    let (mut taken, mut stream) = (Vec::new(), body.into_data_stream());
    while taken.len() < length {
        match stream.next().await {
            Some(Ok(piece)) => taken.extend_from_slice(&piece),
            _ => break,
        }
    }
    taken.truncate(length);
    taken
}

/// Sends so many bytes of a response, then `end`.
async fn cut(
    response: Response,
    length: usize,
    end: stream::BoxStream<'static, Result<Bytes, &'static str>>,
) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    parts.headers.insert("content-length", bytes.len().into());
    let start = bytes.slice(..length.min(bytes.len()));
    // The bytes must leave before the connection does.
    let pause = stream::once(async {
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        Ok(Bytes::new())
    });
    let body = stream::iter([Ok(start)]).chain(pause).chain(end);
    Response::from_parts(parts, Body::from_stream(body))
}

fn error(status: StatusCode, code: &str) -> Response {
    (
        status,
        serde_json::json!({"errors": [{"code": code, "message": code}]}).to_string(),
    )
        .into_response()
}

impl Inner {
    /// The token service: `t0`, `t1`, … for the scopes asked for.
    fn issue(&mut self, query: &str, headers: &HeaderMap) -> Response {
        let Some(rules) = self.rules.clone() else {
            return error(StatusCode::NOT_FOUND, "NOT_FOUND");
        };
        let said = headers
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned());
        if said.is_some() && rules.basic.is_some() && said != rules.basic {
            return (
                StatusCode::UNAUTHORIZED,
                r#"{"details":"incorrect username or password"}"#,
            )
                .into_response();
        }
        let token = format!("t{}", self.tokens.len());
        let scopes = query.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",");
        let allowed = rules.basic.is_none() || said == rules.basic;
        self.tokens.insert(
            token.clone(),
            (
                rules.uses.unwrap_or(usize::MAX),
                if allowed { scopes } else { String::new() },
            ),
        );
        let mut answer = serde_json::json!({ "token": token });
        if let Some(seconds) = rules.expires_in {
            answer["expires_in"] = seconds.into();
        }
        answer.to_string().into_response()
    }

    fn challenge(&mut self, address: &str, method: &Method, path: &str, headers: &HeaderMap) -> Option<Response> {
        let rules = self.rules.clone()?;
        let repository = repository(path).unwrap_or_default();
        let actions = if matches!(*method, Method::GET | Method::HEAD) {
            "pull"
        } else {
            "pull,push"
        };
        let scope = format!("repository:{repository}:{actions}");
        let said = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        if let Some((uses, scopes)) = said.and_then(|token| self.tokens.get_mut(token)) {
            let needed = format!("repository:{repository}:pull");
            let enough = scopes.contains(if actions == "pull" { &needed } else { &scope });
            if *uses > 0 && (enough || repository.is_empty()) {
                *uses -= 1;
                return None;
            }
        }
        let realm = if rules.realm.is_empty() {
            format!("http://{address}/token")
        } else {
            rules.realm
        };
        let challenge = format!("Bearer realm=\"{realm}\",service=\"test\",scope=\"{scope}\"");
        let mut response = error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
        response
            .headers_mut()
            .insert("www-authenticate", challenge.parse().unwrap());
        Some(response)
    }

    fn answer(&mut self, method: &Method, path: &str, query: &str, headers: &HeaderMap, body: Bytes) -> Response {
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
                (StatusCode::CREATED, [("docker-content-digest", digest)]).into_response()
            }
            ("GET" | "HEAD", "blobs") => match name
                .parse()
                .ok()
                .and_then(|digest| self.blobs.get(&(repository, digest)))
            {
                Some(bytes) => ranged(bytes, headers),
                None => error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
            },
            ("POST", "uploads") => self.open(&repository, query),
            ("GET" | "PATCH" | "PUT", "uploads") => self.upload(method, &repository, &name, query, headers, &body),
            _ => error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"),
        }
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
        assert_eq!(headers["content-length"].to_str().unwrap(), body.len().to_string());
        if *method == Method::PATCH {
            let range = headers["content-range"].to_str().unwrap();
            if range != format!("{}-{}", upload.len(), upload.len() + body.len() - 1) {
                return error(StatusCode::RANGE_NOT_SATISFIABLE, "RANGE_INVALID");
            }
            upload.extend_from_slice(body);
            return opened(repository, id, StatusCode::ACCEPTED, upload.len());
        }
        upload.extend_from_slice(body);
        let upload: Bytes = self.uploads.remove(id).unwrap().into();
        let digest = Digest::of(&upload);
        if !query.replace("%3A", ":").ends_with(&format!("digest={digest}")) {
            return error(StatusCode::BAD_REQUEST, "DIGEST_INVALID");
        }
        self.blobs.insert((repository.to_owned(), digest), upload);
        (StatusCode::CREATED, [("docker-content-digest", digest.to_string())]).into_response()
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
    ] {
        if let Some((repository, name)) = rest.split_once(mark) {
            return Some((repository.to_owned(), kind, name.to_owned()));
        }
    }
    None
}

fn repository(path: &str) -> Option<String> {
    route(path).map(|(repository, ..)| repository)
}
