//! The script of a fault registry: which request fails, how, and how often.

use std::collections::VecDeque;

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
    /// The right answer, with one bit of its body changed.
    FlipBit,
    /// The right answer with a header changed.
    Header(&'static str, String),
    /// The right answer, but as if ranges were unknown.
    IgnoreRange,
    /// The upload keeps so many bytes of the request's body, then the connection breaks.
    TakeThenBreak(usize),
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
    method: Method,
    path_part: String,
    times: usize,
    fault: Fault,
}

/// Rules, of which the first that fits is taken.
#[derive(Default, Debug)]
pub(crate) struct Script(VecDeque<Rule>);

impl Script {
    pub(crate) fn add(&mut self, method: Method, path_part: &str, times: usize, fault: Fault) {
        let path_part = path_part.to_owned();
        self.0.push_back(Rule {
            method,
            path_part,
            times,
            fault,
        });
    }

    pub(crate) fn take(&mut self, method: &Method, path: &str) -> Option<Fault> {
        let fits = |rule: &&mut Rule| rule.times > 0 && rule.method == *method && path.contains(&rule.path_part);
        let rule = self.0.iter_mut().find(fits)?;
        rule.times -= 1;
        Some(rule.fault.clone())
    }
}
