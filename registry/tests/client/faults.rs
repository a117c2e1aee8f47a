//! The script of a fault registry: which request fails, how, and how often.
//!
//! A rule names a method, a part of the path, which of the requests that fit (`from..to`, counted from 0), and what
//! happens instead of the right thing. A plan lets one request in so many fail, drawn with a seed.

use std::ops::Range;
use std::time::Duration;

use axum::http::Method;

/// What happens instead of the right thing.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// A status with headers and a body.
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// The right answer, but the connection breaks after so many bytes of its body.
    BreakAfter(usize),
    /// The right answer, whose body stops coming after so many bytes.
    StallAfter(usize),
    /// The right answer, so many bytes of its body at a time, with a pause after each.
    Slow(usize, Duration),
    /// The right answer without its length, in chunks.
    NoLength,
    /// A success whose body never ends.
    Endless,
    /// The right answer, with one bit of its body changed.
    FlipBit,
    /// The right answer with a header changed.
    Header(&'static str, String),
    /// The right answer, but as if ranges were unknown.
    IgnoreRange,
    /// The upload keeps so many bytes of the request's body, then the connection breaks.
    TakeThenBreak(usize),
    /// The request's whole body is read, and answered with a status.
    TakeThenAnswer(u16),
    /// Nothing is read of the request's body, and nothing is said.
    Deaf,
    /// The request is carried out, and the connection breaks before the answer.
    Swallow,
}

impl Fault {
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer {
            status,
            headers: Vec::new(),
            body: String::new(),
        }
    }

    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({"errors": [{"code": code, "message": message}]}).to_string();
        Self::Answer {
            status,
            headers: Vec::new(),
            body,
        }
    }

    pub(crate) fn with_header(status: u16, name: &'static str, value: impl Into<String>) -> Self {
        Self::Answer {
            status,
            headers: vec![(name, value.into())],
            body: String::new(),
        }
    }
}

/// A fault and the requests it meets.
#[derive(Debug)]
struct Rule {
    method: Option<Method>,
    path_part: String,
    requests: Range<usize>,
    seen: usize,
    fault: Fault,
}

/// Lets one request in `in_how_many` fail.
#[derive(Debug)]
struct Plan {
    in_how_many: u64,
    random: u64,
}

/// Rules, of which the first that fits is taken, and a plan for all other requests.
#[derive(Default, Debug)]
pub(crate) struct Script {
    rules: Vec<Rule>,
    plan: Option<Plan>,
    /// What the plan has done, in words.
    pub(crate) done: Vec<String>,
}

impl Script {
    /// Adds a rule; without a method it is for all.
    pub(crate) fn add(&mut self, method: Option<Method>, path_part: &str, requests: Range<usize>, fault: Fault) {
        self.rules.push(Rule {
            method,
            path_part: path_part.to_owned(),
            requests,
            seen: 0,
            fault,
        });
    }

    /// From now on one request in so many fails, in a way that its kind can fail.
    pub(crate) fn plan(&mut self, in_how_many: u64, seed: u64) {
        self.plan = Some(Plan {
            in_how_many,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        });
    }

    pub(crate) fn take(&mut self, method: &Method, path: &str) -> Option<Fault> {
        for rule in &mut self.rules {
            let fits = rule.method.as_ref().is_none_or(|wanted| wanted == method) && path.contains(&rule.path_part);
            if fits {
                rule.seen += 1;
                if rule.requests.contains(&(rule.seen - 1)) {
                    return Some(rule.fault.clone());
                }
            }
        }
        let plan = self.plan.as_mut()?;
        if plan.draw() % plan.in_how_many != 0 {
            return None;
        }
        let faults = every_way(method, path);
        let fault = faults[plan.draw() as usize % faults.len()].clone();
        self.done.push(format!("{method} {path}: {fault:?}"));
        Some(fault)
    }
}

impl Plan {
    fn draw(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 11
    }
}

/// Every way in which a request can fail and yet succeed later.
fn every_way(method: &Method, path: &str) -> Vec<Fault> {
    let mut faults: Vec<Fault> = [408, 425, 429, 500, 502, 503, 504, 522].map(Fault::status).to_vec();
    faults.extend([
        Fault::with_header(429, "retry-after", "0"),
        Fault::with_header(503, "retry-after", "Wed, 21 Oct 2015 07:28:00 GMT"),
        Fault::error(503, "UNAVAILABLE", "in repair"),
        Fault::Swallow,
    ]);
    let is_blob = path.contains("/blobs/sha256:");
    if *method == Method::GET && (is_blob || path.contains("/manifests/")) {
        faults.extend([
            Fault::BreakAfter(0),
            Fault::BreakAfter(100),
            Fault::StallAfter(10),
            Fault::NoLength,
            Fault::Slow(7000, Duration::from_millis(5)),
        ]);
    }
    if *method == Method::GET && is_blob {
        faults.extend([Fault::IgnoreRange, Fault::BreakAfter(60_000), Fault::FlipBit]);
    }
    if *method == Method::HEAD {
        faults.push(Fault::status(405));
    }
    if matches!(*method, Method::PUT | Method::PATCH) && path.contains("/uploads/") {
        faults.extend([
            Fault::TakeThenBreak(0),
            Fault::TakeThenBreak(1),
            Fault::TakeThenBreak(40_000),
        ]);
    }
    if *method == Method::PUT && path.contains("/uploads/") {
        faults.extend([413, 404, 405].map(Fault::status));
    }
    if *method == Method::PATCH && path.contains("/uploads/") {
        faults.push(Fault::error(404, "BLOB_UPLOAD_UNKNOWN", "unknown"));
    }
    if *method == Method::PUT && path.contains("/manifests/") {
        faults.push(Fault::error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown"));
    }
    faults
}
