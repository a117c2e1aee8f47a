//! A registry in this process, in memory, strict about the protocol, that fails as its script says and
//! remembers every request with its headers.

mod protocol;
mod tokens;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
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
    pub(crate) at: Instant,
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
    /// How long a token is good, whatever the token service says.
    pub(crate) life: Option<Duration>,
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
    tokens: HashMap<String, Token>,
    /// What the registry does in its own way.
    manners: Manners,
}

/// A token that was issued.
struct Token {
    uses: usize,
    scopes: String,
    issued: Instant,
}

/// What registries do differently.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Manners {
    /// It lists referrers.
    pub(crate) referrers: bool,
    /// It answers 201 to chunks, and 200 to a blob that is complete, as ECR and others do.
    pub(crate) other_successes: bool,
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
        Self::start_on(listener, address)
    }

    /// Starts one whose name in references, challenges and tokens is `address`.
    pub(crate) fn start_on<L>(listener: L, address: String) -> Self
    where
        L: axum::serve::Listener,
        L::Addr: std::fmt::Debug,
    {
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
        self.lock().script.add(Some(method), path_part, 0..times, fault);
    }

    /// Lets some of the requests fail whose path has this part, whatever their method.
    pub(crate) fn fail_any(&self, path_part: &str, requests: Range<usize>, fault: Fault) {
        self.lock().script.add(None, path_part, requests, fault);
    }

    /// From now on one request in so many fails.
    pub(crate) fn fail_one_in(&self, in_how_many: u64, seed: u64) {
        self.lock().script.plan(in_how_many, seed);
    }

    /// Returns what has failed by plan.
    pub(crate) fn failed(&self) -> Vec<String> {
        self.lock().script.done.clone()
    }

    pub(crate) fn behave(&self, manners: Manners) {
        self.lock().manners = manners;
    }

    /// Forgets all blobs and manifests.
    pub(crate) fn empty(&self) {
        let mut inner = self.lock();
        inner.blobs.clear();
        inner.manifests.clear();
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
        at: Instant::now(),
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
    if let Some(Fault::Endless) = fault {
        let body = stream::repeat(Ok::<_, &str>(Bytes::from_static(&[b' '; 4096])));
        return Response::new(Body::from_stream(body));
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
        Some(Fault::TakeThenAnswer(status)) => {
            take(body, usize::MAX).await;
            return Response::builder().status(status).body(Body::empty()).unwrap();
        }
        Some(Fault::Deaf) => std::future::pending().await,
        _ => axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default(),
    };
    let response = registry.lock().answer(&method, &path, &query, &headers, body);
    match fault {
        Some(Fault::BreakAfter(length)) => cut(response, length, stream::iter([Err("broken")]).boxed()).await,
        Some(Fault::StallAfter(length)) => cut(response, length, stream::pending().boxed()).await,
        Some(Fault::Slow(length, pause)) => {
            let (mut parts, body) = response.into_parts();
            let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            parts.headers.insert("content-length", bytes.len().into());
            let pieces: Vec<Bytes> = bytes.chunks(length).map(Bytes::copy_from_slice).collect();
            let body = stream::iter(pieces).then(move |piece| async move {
                tokio::time::sleep(pause).await;
                Ok::<_, &str>(piece)
            });
            Response::from_parts(parts, Body::from_stream(body))
        }
        Some(Fault::NoLength) => {
            let (parts, body) = response.into_parts();
            let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let body = stream::iter([Ok::<_, &str>(bytes)]);
            Response::from_parts(parts, Body::from_stream(body))
        }
        Some(Fault::FlipBit) => {
            let (parts, body) = response.into_parts();
            let mut bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
            if let Some(first) = bytes.first_mut() {
                *first ^= 1;
            }
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
        tokio::time::sleep(Duration::from_millis(30)).await;
        Ok(Bytes::new())
    });
    let body = stream::iter([Ok(start)]).chain(pause).chain(end);
    Response::from_parts(parts, Body::from_stream(body))
}
