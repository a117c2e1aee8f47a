//! Doors for the fuzzer to the parsers that only this module calls: each takes a stranger's bytes, and holds what comes of
//! them to what must be true.

use std::time::{Duration, SystemTime};

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};

use super::{Proxies, manifest, pull, redirect, refusal, retry, tags, upload_session, x509};
use crate::text::{LIMIT, one_line};

/// Checks a header of an answer: where to go, how long to wait, what is there.
pub fn header(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(headers) = headers(LOCATION, bytes) {
        for from in [
            "https://r.example:5000/v2/a/blobs/uploads/?s=1",
            "http://127.0.0.1:5000/v2/",
        ] {
            assert_leads_to_no_less(&Url::parse(from).ok(), &headers);
        }
    }
    if let Some(headers) = headers(RETRY_AFTER, bytes) {
        // The year 2026, when servers without a clock say 1970.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let _delay = retry::retry_after(&headers, now);
    }
    if let Ok(page) = Url::parse("https://r.example/v2/a/tags/list?n=1")
        && let Some(next) = tags::next_page(&page, &text)
    {
        assert_eq!((next.origin(), next.path()), (page.origin(), page.path()), "{text:?}");
        assert_ne!(next, page, "{text:?}");
    }
    let _range = pull::content_range(&text);
    let _received = upload_session::received_of(&text);
    let shown = one_line(&text);
    assert!(!shown.contains(char::is_control), "{text:?}");
    // A character that is shown by its number takes ten at most.
    assert!(shown.chars().count() <= LIMIT * 10 + 1);
    let _proxies = Proxies::from_variables([("HTTPS_PROXY", &*text), ("NO_PROXY", &*text)]);
}

fn headers(name: HeaderName, value: &[u8]) -> Option<HeaderMap> {
    let value = HeaderValue::from_bytes(value).ok()?;
    Some(HeaderMap::from_iter([(name, value)]))
}

fn assert_leads_to_no_less(from: &Option<Url>, headers: &HeaderMap) {
    let Some((from, to)) = from
        .as_ref()
        .and_then(|from| Some((from, redirect::location(from, headers).ok()?)))
    else {
        return;
    };
    assert!(
        matches!(to.scheme(), "http" | "https") && to.host_str().is_some(),
        "{to}"
    );
    assert!(from.scheme() == "http" || to.scheme() == "https", "{to}");
    assert!(to.username().is_empty() && to.password().is_none(), "{to}");
}

/// Checks a document: a manifest, an index, a list, or an error.
pub fn document(bytes: &[u8]) {
    for accepted in manifest::ACCEPTED {
        let Ok(media_type) = manifest::media_type(bytes, Some(accepted)) else {
            continue;
        };
        assert!(media_type.is_manifest() != media_type.is_index());
        let _parsed = manifest::parse(bytes, &media_type);
    }
    let _tags = tags::page(bytes);
    for error in refusal::parse(bytes) {
        for words in [&error.code, &error.message] {
            assert!(!words.contains(char::is_control), "{words:?}");
        }
    }
}

/// Checks a certificate.
pub fn certificate(bytes: &[u8]) {
    if let Some((issuer, subject)) = x509::names(bytes) {
        // Of a name at most the labels come in addition, and three bytes for each that is no UTF-8.
        assert!(issuer.len() + subject.len() <= 8 * bytes.len());
    }
}
