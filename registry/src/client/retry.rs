//! When to try again, and after how long.
//!
//! Delays grow exponentially with full jitter, so that many clients do not come back together. What a server
//! asks for (`Retry-After`) is a lower bound, and holds for every request to that server, not only for the one
//! that was told. All waiting of one operation fits into one budget; a wait that does not is not begun.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use reqwest::Url;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::error::ClientError;
use super::refusal::is_temporary;
use super::transport::Response;

/// How often and how long to try again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RetryPolicy {
    /// Tries in all, the first included.
    pub tries: u32,
    /// Tries in all where no connection comes about: a wrong name or port stays wrong.
    pub connect_tries: u32,
    /// The upper bound of the first delay; it doubles with every try.
    pub first_delay: Duration,
    /// No delay of our own making is longer.
    pub longest_delay: Duration,
    /// The sum of all delays of one operation.
    pub budget: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            tries: 6,
            connect_tries: 3,
            first_delay: Duration::from_millis(500),
            longest_delay: Duration::from_secs(20),
            budget: Duration::from_secs(5 * 60),
        }
    }
}

/// Decides on retries for one client.
#[derive(Debug, Default)]
pub(super) struct Retry {
    policy: RetryPolicy,
    /// When a server that asked for patience may be asked again, by origin.
    gates: Mutex<HashMap<String, Instant>>,
}

/// The tries of one operation.
pub(super) struct Tries<'a> {
    retry: &'a Retry,
    origin: String,
    done: u32,
    furthest: u64,
    waited: Duration,
}

/// Why a try should be repeated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reason {
    /// No connection.
    Unreachable,
    /// It broke.
    Broken,
    /// The server said so, perhaps with a delay.
    Asked(Option<Duration>),
}

impl Retry {
    pub(super) fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            gates: Mutex::default(),
        }
    }

    /// Begins an operation on the server of `url`.
    pub(super) fn tries(&self, url: &Url) -> Tries<'_> {
        Tries {
            retry: self,
            origin: url.origin().ascii_serialization(),
            done: 0,
            furthest: 0,
            waited: Duration::ZERO,
        }
    }

    fn close_gate(&self, origin: &str, delay: Duration) {
        let until = Instant::now() + delay;
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let gate = gates.entry(origin.to_owned()).or_insert(until);
        *gate = until.max(*gate);
    }

    fn gate(&self, origin: &str) -> Duration {
        let gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates
            .get(origin)
            .map_or(Duration::ZERO, |gate| gate.saturating_duration_since(Instant::now()))
    }
}

impl Tries<'_> {
    /// Waits until the server may be asked, within the budget.
    pub(super) async fn turn(&mut self) {
        let gate = self.retry.gate(&self.origin);
        if !gate.is_zero() && self.waited + gate <= self.retry.policy.budget {
            self.waited += gate;
            tokio::time::sleep(gate).await;
        }
    }

    /// Returns the delay after which to try again, if `outcome` calls for it.
    pub(super) fn after(&mut self, outcome: &Result<Response, ClientError>) -> Option<Duration> {
        match outcome {
            Ok(response) => self.after_response(response),
            Err(error) => self.after_error(error),
        }
    }

    /// The same after an answer.
    pub(super) fn after_response(&mut self, response: &Response) -> Option<Duration> {
        if !is_temporary(response.status()) {
            return None;
        }
        let delay = retry_after(response.headers(), SystemTime::now());
        if let Some(delay) = delay.filter(|delay| *delay <= self.retry.policy.budget) {
            self.retry.close_gate(&self.origin, delay);
        }
        self.next(Reason::Asked(delay), random())
    }

    /// The same after an error.
    pub(super) fn after_error(&mut self, error: &ClientError) -> Option<Duration> {
        match error {
            ClientError::Connect { .. } | ClientError::Proxy { .. } => self.next(Reason::Unreachable, random()),
            error if error.is_transient() => self.next(Reason::Broken, random()),
            _ => None,
        }
    }

    /// The same after an answer that shows that the server knows another state than we do.
    pub(super) fn after_conflict(&mut self) -> Option<Duration> {
        self.next(Reason::Broken, random())
    }

    /// Counts from the start again if the operation has come further than ever before, in bytes. The budget
    /// stays.
    pub(super) fn reached(&mut self, offset: u64) {
        if offset > self.furthest {
            self.furthest = offset;
            self.done = 0;
        }
    }

    /// Returns the delay before the next try; `random` lies in [0, 1).
    fn next(&mut self, reason: Reason, random: f64) -> Option<Duration> {
        let policy = &self.retry.policy;
        self.done += 1;
        let tries = if reason == Reason::Unreachable {
            policy.connect_tries
        } else {
            policy.tries
        };
        if self.done >= tries {
            return None;
        }
        let bound = policy
            .first_delay
            .saturating_mul(1 << (self.done - 1).min(16))
            .min(policy.longest_delay);
        let jitter = bound.mul_f64(random);
        let delay = match reason {
            // Those who were told the same time must not come back at the same time either.
            Reason::Asked(Some(asked)) => asked.saturating_add(jitter.min(policy.first_delay)),
            _ => jitter,
        };
        let waited = self.waited.saturating_add(delay);
        if waited > policy.budget {
            return None;
        }
        self.waited = waited;
        tracing::debug!(origin = self.origin, ?reason, ?delay, "trying again");
        Some(delay)
    }
}

/// Reads `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(SystemTime::from(date).duration_since(now).unwrap_or_default())
}

/// Returns a number in [0, 1); the standard library's hash keys are random enough for jitter.
fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tries(retry: &Retry) -> Tries<'_> {
        retry.tries(&Url::parse("https://r.example/v2/").unwrap())
    }

    #[test]
    fn delays_double_up_to_a_bound_and_tries_end() {
        let retry = Retry::new(RetryPolicy {
            longest_delay: Duration::from_secs(3),
            ..RetryPolicy::default()
        });
        let mut tries = tries(&retry);
        let delays: Vec<Option<u128>> = (0..6)
            .map(|_| tries.next(Reason::Broken, 1.0).map(|delay| delay.as_millis()))
            .collect();
        assert_eq!(
            delays,
            [Some(500), Some(1000), Some(2000), Some(3000), Some(3000), None]
        );
        assert_eq!(self::tries(&retry).next(Reason::Broken, 0.0), Some(Duration::ZERO));
    }

    #[test]
    fn what_cannot_be_reached_is_given_up_sooner() {
        let retry = Retry::default();
        let mut tries = tries(&retry);
        let given_up = (0..3)
            .map(|_| tries.next(Reason::Unreachable, 0.5).is_none())
            .collect::<Vec<_>>();
        assert_eq!(given_up, [false, false, true]);
    }

    #[test]
    fn a_wait_that_does_not_fit_the_budget_is_not_begun() {
        let retry = Retry::default();
        let asked = |seconds| Reason::Asked(Some(Duration::from_secs(seconds)));
        assert_eq!(tries(&retry).next(asked(100), 0.0), Some(Duration::from_secs(100)));
        assert_eq!(tries(&retry).next(asked(301), 0.0), None);
        let mut told_never = tries(&retry);
        assert!(told_never.next(asked(1), 0.0).is_some());
        assert_eq!(told_never.next(asked(u64::MAX), 1.0), None);
        let mut spent = tries(&retry);
        let fits: Vec<bool> = (0..4).map(|_| spent.next(asked(100), 0.0).is_some()).collect();
        assert_eq!(fits, [true, true, true, false]);
    }

    #[test]
    fn only_real_progress_renews_the_tries() {
        let retry = Retry::default();
        let mut tries = tries(&retry);
        for offset in 1..50 {
            assert!(tries.next(Reason::Broken, 0.0).is_some());
            tries.reached(offset);
        }
        let more = (0..9).map(|_| {
            tries.reached(49);
            tries.next(Reason::Broken, 0.0)
        });
        assert_eq!(more.flatten().count(), 5, "the same place again is no progress");
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_480);
        for (text, seconds) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(0)),
            ("Wed, 21 Oct 2015 07:28:09 GMT", Some(9)),
            ("Wed, 21 Oct 2014 07:28:09 GMT", None),
            ("Tue, 20 Oct 2015 07:28:09 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(
                retry_after(&headers, now).map(|delay| delay.as_secs()),
                seconds,
                "{text}"
            );
        }
    }

    #[test]
    fn jitter_lies_in_its_interval_and_varies() {
        let drawn: Vec<f64> = (0..100).map(|_| random()).collect();
        assert!(drawn.iter().all(|x| (0.0..1.0).contains(x)), "{drawn:?}");
        assert!(
            drawn.iter().any(|x| *x < 0.5) && drawn.iter().any(|x| *x >= 0.5),
            "{drawn:?}"
        );
    }
}
