//! A server of S3 that is stricter than AWS's: every request must be signed with version 4, by the one key that there is,
//! for this host and region and not long ago; whatever is put must come with its SHA-256, signed; parameters and headers
//! that it does not know it refuses.
//!
//! The signature is computed here from what came, by AWS's description alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use registry::oci::{Digest, Hasher};

use super::http::{Answer, Request, decoded, serve};

/// The key of everybody.
pub(crate) const KEY: &str = "AKIDEXAMPLE";
/// Its secret.
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// The token of a role, in which `/`, `+` and `=` must be encoded.
pub(crate) const TOKEN: &str = "IQoJb3JpZ2lu/EXAMPLE+token==";
/// Where the bucket is.
pub(crate) const REGION: &str = "eu-central-9";
/// The bucket.
pub(crate) const BUCKET: &str = "cache";

/// A running server; it ends with the test's process.
pub(crate) struct S3Server {
    address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    asked: Vec<String>,
    is_down: bool,
    needs_token: bool,
}

impl S3Server {
    /// Starts a server with one empty bucket.
    pub(crate) fn start() -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let served = Arc::clone(&state);
        let address = serve(move |request| answer(&mut served.lock().unwrap(), &request));
        Self {
            address: address.to_string(),
            state,
        }
    }

    /// Refuses whoever does not come as a role.
    pub(crate) fn require_token(&self) {
        self.state.lock().unwrap().needs_token = true;
    }

    /// Returns its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers with 503 from now on, or no longer.
    pub(crate) fn set_down(&self, is_down: bool) {
        self.state.lock().unwrap().is_down = is_down;
    }

    /// Returns the names of all objects.
    pub(crate) fn names(&self) -> Vec<String> {
        self.state.lock().unwrap().objects.keys().cloned().collect()
    }

    /// Returns an object.
    pub(crate) fn get(&self, name: &str) -> Vec<u8> {
        self.state.lock().unwrap().objects[name].clone()
    }

    /// Puts an object.
    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) {
        self.state.lock().unwrap().objects.insert(name.to_owned(), bytes);
    }

    /// Returns what was asked since the last call: method and name.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }
}

fn answer(state: &mut State, request: &Request) -> Answer {
    let refused = |status, code: &str| -> Answer {
        let body = format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>refused</Message></Error>");
        (status, body.into_bytes())
    };
    if state.is_down {
        return refused("503 Service Unavailable", "SlowDown");
    }
    if let Err(why) = check(request, state.needs_token) {
        return refused("403 Forbidden", why);
    }
    let Some(name) = request.path.strip_prefix(&format!("/{BUCKET}/")).map(decoded) else {
        return refused("404 Not Found", "NoSuchBucket");
    };
    state.asked.push(format!("{} {name}", request.method));
    match request.method.as_str() {
        "PUT" => {
            let checksum = BASE64.encode(Digest::of(&request.body).as_bytes());
            if request.headers.get("x-amz-checksum-sha256") != Some(&checksum) {
                return refused("400 Bad Request", "BadDigest");
            }
            state.objects.insert(name, request.body.clone());
            ("200 OK", Vec::new())
        }
        "GET" | "HEAD" => match state.objects.get(&name) {
            Some(body) => ("200 OK", body.clone()),
            None => refused("404 Not Found", "NoSuchKey"),
        },
        _ => refused("405 Method Not Allowed", "MethodNotAllowed"),
    }
}

/// Checks the signature, and that nothing is there that it does not cover.
fn check(request: &Request, needs_token: bool) -> Result<(), &'static str> {
    const KNOWN: [&str; 7] = [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-Security-Token",
        "X-Amz-Signature",
        "X-Amz-SignedHeaders",
    ];
    if request.headers.contains_key("authorization") {
        return Err("AuthorizationTwice");
    }
    if request.query.keys().any(|name| !KNOWN.contains(&name.as_str())) {
        return Err("UnknownParameter");
    }
    let get = |name: &str| request.query.get(name).map(|value| decoded(value)).unwrap_or_default();
    if get("X-Amz-Algorithm") != "AWS4-HMAC-SHA256" {
        return Err("AuthorizationQueryParametersError");
    }
    if needs_token && get("X-Amz-Security-Token") != TOKEN {
        return Err("InvalidToken");
    }
    let (date, scope) = (get("X-Amz-Date"), get("X-Amz-Credential"));
    let day = date.get(..8).unwrap_or_default();
    if scope != format!("{KEY}/{day}/{REGION}/s3/aws4_request") {
        return Err("InvalidAccessKeyId");
    }
    let format = "%Y%m%dT%H%M%SZ";
    let made = jiff::civil::DateTime::strptime(format, &date).map_err(|_| "BadDate")?;
    let age =
        jiff::Timestamp::now().as_second() - made.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second();
    let life: i64 = get("X-Amz-Expires").parse().map_err(|_| "BadExpiry")?;
    if !(-5..=life).contains(&age) || life > 3600 {
        return Err("AccessDenied");
    }
    let signed = get("X-Amz-SignedHeaders");
    let signed: Vec<&str> = signed.split(';').collect();
    let amz = request.headers.keys().filter(|name| name.starts_with("x-amz-"));
    if !signed.contains(&"host") || amz.clone().any(|name| !signed.contains(&name.as_str())) {
        return Err("HeadersNotSigned");
    }
    let unsigned = request.query.iter().filter(|(name, _)| *name != "X-Amz-Signature");
    let query: Vec<String> = unsigned.map(|(name, value)| format!("{name}={value}")).collect();
    let headers = signed.iter().map(|name| {
        let value = request.headers.get(*name).map(String::as_str).unwrap_or_default();
        format!("{name}:{value}\n")
    });
    let canonical = [
        request.method.clone(),
        request.path.clone(),
        query.join("&"),
        headers.collect(),
        signed.join(";"),
        "UNSIGNED-PAYLOAD".to_owned(),
    ]
    .join("\n");
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{date}\n{day}/{REGION}/s3/aws4_request\n{}",
        Digest::of(canonical.as_bytes()).hex()
    );
    let first = format!("AWS4{SECRET}").into_bytes();
    let key = [day, REGION, "s3", "aws4_request"]
        .iter()
        .fold(first, |key, part| hmac(&key, part.as_bytes()).as_bytes().to_vec());
    match hmac(&key, to_sign.as_bytes()).hex() == get("X-Amz-Signature") {
        true => Ok(()),
        false => Err("SignatureDoesNotMatch"),
    }
}

/// RFC 2104, with SHA-256.
fn hmac(key: &[u8], text: &[u8]) -> Digest {
    let mut block = [0; 64];
    match key.len() {
        0..=64 => block[..key.len()].copy_from_slice(key),
        _ => block[..32].copy_from_slice(Digest::of(key).as_bytes()),
    }
    let hashed = |pad: u8, text: &[u8]| {
        let mut hasher = Hasher::new();
        hasher.update(&block.map(|byte| byte ^ pad));
        hasher.update(text);
        hasher.finish()
    };
    hashed(0x5c, hashed(0x36, text).as_bytes())
}
