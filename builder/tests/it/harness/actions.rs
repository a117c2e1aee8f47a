//! A stand-in for GitHub's cache service and the storage behind it, stricter than both: every step of an entry must come
//! in its order, every block must be in the list and the list must be of blocks that are there, sizes must be right, and
//! the token may be told to the service only. No real one can be had outside of GitHub.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::http::{Answer, Request, decoded, serve};

/// The job's token.
pub(crate) const RUNTIME_TOKEN: &str = "runtime.token-EXAMPLE";
/// The signature in the storage's addresses.
const SIGNATURE: &str = "sig=EXAMPLE%2Bsignature%3D";

/// A running service; it ends with the test's process.
pub(crate) struct ActionsServer {
    address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// In the order in which they were made.
    entries: Vec<Entry>,
    asked: Vec<String>,
    storage: String,
}

struct Entry {
    key: String,
    version: String,
    blocks: BTreeMap<String, Vec<u8>>,
    content: Option<Vec<u8>>,
    is_finished: bool,
}

impl ActionsServer {
    /// Starts a service without entries, and its storage.
    pub(crate) fn start() -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let (storing, asked) = (Arc::clone(&state), Arc::clone(&state));
        let storage = serve(move |request| store(&mut storing.lock().unwrap(), &request));
        state.lock().unwrap().storage = storage.to_string();
        let address = serve(move |request| answer(&mut asked.lock().unwrap(), &request));
        Self {
            address: address.to_string(),
            state,
        }
    }

    /// Returns the service's URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Returns the keys of all entries that are finished.
    pub(crate) fn keys(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let finished = state.entries.iter().filter(|entry| entry.is_finished);
        finished.map(|entry| entry.key.clone()).collect()
    }

    /// Returns what was asked since the last call: a method of the service, or of the storage and its kind.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }
}

fn answer(state: &mut State, request: &Request) -> Answer {
    let refused = |status, code: &str| {
        (
            status,
            json!({ "code": code, "msg": "refused" }).to_string().into_bytes(),
        )
    };
    let service = "/twirp/github.actions.results.api.v1.CacheService/";
    if request.headers.get("authorization") != Some(&format!("Bearer {RUNTIME_TOKEN}")) {
        return refused("401 Unauthorized", "unauthenticated");
    }
    let is_json = request
        .headers
        .get("content-type")
        .is_some_and(|kind| kind == "application/json");
    let question: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let (key, version) = (
        question["key"].as_str().unwrap_or_default().to_owned(),
        question["version"].as_str().unwrap_or_default().to_owned(),
    );
    let well_formed = key.len() <= 512 && !key.is_empty() && !key.contains(',') && version.len() == 64;
    if request.method != "POST" || !is_json || !well_formed {
        return refused("400 Bad Request", "malformed");
    }
    let method = request.path.strip_prefix(service).unwrap_or_default();
    state.asked.push(method.to_owned());
    let found = state
        .entries
        .iter()
        .position(|entry| entry.key == key && entry.version == version);
    let address = |number| format!("http://{}/{number}?{SIGNATURE}", state.storage);
    let answer = match (method, found) {
        ("CreateCacheEntry", Some(_)) => return refused("409 Conflict", "already_exists"),
        ("CreateCacheEntry", None) => {
            let url = address(state.entries.len());
            state.entries.push(Entry {
                key,
                version,
                blocks: BTreeMap::new(),
                content: None,
                is_finished: false,
            });
            json!({ "ok": true, "signed_upload_url": url })
        }
        ("FinalizeCacheEntryUpload", Some(number)) => {
            let entry = &mut state.entries[number];
            let size = entry.content.as_ref().map(|content| content.len().to_string());
            if entry.is_finished || size.as_deref() != question["size_bytes"].as_str() {
                return refused("400 Bad Request", "failed_precondition");
            }
            entry.is_finished = true;
            json!({ "ok": true, "entry_id": number.to_string() })
        }
        ("GetCacheEntryDownloadURL", _) => {
            let prefixes = question["restore_keys"].as_array().cloned().unwrap_or_default();
            let newest_first = || (0..state.entries.len()).rev();
            let is_there =
                |number: &usize| state.entries[*number].is_finished && state.entries[*number].version == version;
            let exact = newest_first().find(|number| is_there(number) && state.entries[*number].key == key);
            let by_prefix = prefixes.iter().filter_map(Value::as_str).find_map(|prefix| {
                newest_first().find(|number| is_there(number) && state.entries[*number].key.starts_with(prefix))
            });
            match exact.or(by_prefix) {
                Some(number) => json!({
                    "ok": true,
                    "signed_download_url": address(number),
                    "matched_key": state.entries[number].key,
                }),
                None => json!({ "ok": false }),
            }
        }
        _ => return refused("404 Not Found", "bad_route"),
    };
    ("200 OK", answer.to_string().into_bytes())
}

fn store(state: &mut State, request: &Request) -> Answer {
    let refused = |status, code: &str| (status, format!("<Error><Code>{code}</Code></Error>").into_bytes());
    if request.query.get("sig").map(String::as_str) != SIGNATURE.strip_prefix("sig=") {
        return refused("403 Forbidden", "AuthenticationFailed");
    }
    // A credential of the service has no business here.
    if request.headers.contains_key("authorization") {
        return refused("400 Bad Request", "AuthorizationToldToStorage");
    }
    let number: usize = request.path.trim_start_matches('/').parse().expect("a number");
    let kind = request.query.get("comp").map(String::as_str);
    state
        .asked
        .push(format!("{} {}", request.method, kind.unwrap_or("blob")));
    let entry = &mut state.entries[number];
    match (request.method.as_str(), kind) {
        ("PUT", Some("block")) if !entry.is_finished && entry.content.is_none() => {
            let id = decoded(&request.query["blockid"]);
            if BASE64.decode(&id).is_err() || entry.blocks.keys().any(|other| other.len() != id.len()) {
                return refused("400 Bad Request", "InvalidBlockId");
            }
            entry.blocks.insert(id, request.body.clone());
            ("201 Created", Vec::new())
        }
        ("PUT", Some("blocklist")) if !entry.is_finished && entry.content.is_none() => {
            let list = String::from_utf8(request.body.clone()).expect("XML");
            let ids: Vec<&str> = list
                .split("<Latest>")
                .skip(1)
                .filter_map(|rest| rest.split('<').next())
                .collect();
            let blocks: Option<Vec<&Vec<u8>>> = ids.iter().map(|id| entry.blocks.get(*id)).collect();
            match blocks.filter(|blocks| blocks.len() == entry.blocks.len()) {
                Some(blocks) => {
                    entry.content = Some(blocks.into_iter().flatten().copied().collect());
                    ("201 Created", Vec::new())
                }
                None => refused("400 Bad Request", "InvalidBlockList"),
            }
        }
        ("GET", None) => match entry.content.clone().filter(|_| entry.is_finished) {
            Some(content) => ("200 OK", content),
            None => refused("404 Not Found", "BlobNotFound"),
        },
        _ => refused("409 Conflict", "OutOfOrder"),
    }
}
