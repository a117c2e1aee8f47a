//! A small web server in a thread of the test: it knows what it was asked, and validators are the test's to set.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A web server; it ends with the test's process.
pub(crate) struct WebServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// What is given for one path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    /// The body.
    pub(crate) body: Vec<u8>,
    /// `ETag`, without quotes.
    pub(crate) etag: Option<String>,
    /// `Last-Modified`.
    pub(crate) last_modified: Option<String>,
    /// Where to go instead: `Location` of a 302.
    pub(crate) location: Option<String>,
    /// What `Authorization` must be.
    pub(crate) authorization: Option<String>,
    /// Further headers.
    pub(crate) headers: Vec<(String, String)>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The method.
    pub(crate) method: String,
    /// The path, with its query.
    pub(crate) path: String,
    /// The headers, names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
}

#[derive(Default)]
struct State {
    pages: BTreeMap<String, Page>,
    directory: Option<PathBuf>,
    authorization: Option<String>,
    asked: Vec<Asked>,
}

impl WebServer {
    /// Starts a server without pages.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let server = Self {
            address: listener.local_addr().expect("its address"),
            state: Arc::default(),
        };
        let state = Arc::clone(&server.state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&state);
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        server
    }

    /// Starts a server of all files of a directory, as git's dumb protocol wants them.
    pub(crate) fn of_directory(directory: &Path) -> Self {
        let server = Self::start();
        server.state.lock().unwrap().directory = Some(directory.to_owned());
        server
    }

    /// Refuses whoever does not send this `Authorization`.
    pub(crate) fn require(&self, authorization: &str) {
        self.state.lock().unwrap().authorization = Some(authorization.to_owned());
    }

    /// Returns the URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sets what is given for a path.
    pub(crate) fn put(&self, path: &str, page: Page) {
        self.state.lock().unwrap().pages.insert(path.to_owned(), page);
    }

    /// Returns what was asked since the last call.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }
}

impl Page {
    /// A page with an `ETag`.
    pub(crate) fn tagged(body: impl Into<Vec<u8>>, etag: &str) -> Self {
        Self {
            body: body.into(),
            etag: Some(etag.to_owned()),
            ..Self::default()
        }
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) {
    let Ok(mut out) = stream.try_clone() else { return };
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers: BTreeMap<String, String> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_lowercase(), value.to_owned()))
        })
        .collect();
    let asked = Asked {
        method: method.to_owned(),
        path: path.to_owned(),
        headers,
    };
    let (status, page) = answer(&mut state.lock().unwrap(), &asked);
    let mut head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n",
        page.body.len()
    );
    for (name, value) in [
        ("ETag", page.etag.map(|etag| format!("\"{etag}\""))),
        ("Last-Modified", page.last_modified),
        ("Location", page.location),
    ] {
        head.extend(value.map(|value| format!("{name}: {value}\r\n")));
    }
    head.extend(page.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")));
    let body: &[u8] = if method == "HEAD" { &[] } else { &page.body };
    let _client_gone = out.write_all(&[head.as_bytes(), b"\r\n", body].concat());
}

fn answer(state: &mut State, asked: &Asked) -> (&'static str, Page) {
    state.asked.push(asked.clone());
    let given = asked.headers.get("authorization");
    let path = asked.path.split('?').next().unwrap_or_default();
    let page = state.pages.get(path).cloned().or_else(|| {
        let directory = state.directory.as_ref()?;
        let inside = Path::new(path.trim_start_matches('/'));
        let is_inside = inside.components().all(|part| matches!(part, Component::Normal(_)));
        let body = fs::read(directory.join(inside)).ok().filter(|_| is_inside)?;
        Some(Page {
            body,
            ..Page::default()
        })
    });
    let Some(page) = page else {
        return ("404 Not Found", Page::default());
    };
    let wanted = page.authorization.as_ref().or(state.authorization.as_ref());
    if wanted.is_some() && wanted != given {
        let challenge = ("WWW-Authenticate".to_owned(), "Basic realm=\"test\"".to_owned());
        let refusal = Page {
            headers: vec![challenge],
            ..Page::default()
        };
        return ("401 Unauthorized", refusal);
    }
    if page.location.is_some() {
        return ("302 Found", page);
    }
    let known = asked.headers.get("if-none-match").map(|etag| etag.trim_matches('"'));
    if known.is_some() && known == page.etag.as_deref() {
        return (
            "304 Not Modified",
            Page {
                body: Vec::new(),
                ..page
            },
        );
    }
    ("200 OK", page)
}
