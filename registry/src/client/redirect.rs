//! Where an answer leads: redirects and upload locations. Pure.
//!
//! Credentials belong to one origin (scheme, host and port): whoever follows a location compares origins and
//! drops them. From https nothing leads back to http.

use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Method, StatusCode, Url};

use super::error::ProtocolError;
use crate::text::one_line;

/// How many redirects are followed.
pub(super) const MOST_REDIRECTS: usize = 10;

/// Tells whether a status sends a request of this method elsewhere. A request with a body follows only where
/// the status promises that the method stays.
pub(super) fn is_redirect(method: &Method, status: StatusCode) -> bool {
    match status.as_u16() {
        307 | 308 => true,
        301..=303 => matches!(*method, Method::GET | Method::HEAD),
        _ => false,
    }
}

/// Returns the location in `headers` as seen from `from`.
pub(super) fn location(from: &Url, headers: &HeaderMap) -> Result<Url, ProtocolError> {
    let location = headers.get(LOCATION).ok_or(ProtocolError::NoLocation)?;
    let text = String::from_utf8_lossy(location.as_bytes());
    let unusable = || ProtocolError::Location(one_line(&text));
    let mut url = from.join(&text).map_err(|_| unusable())?;
    // A user in a location would become a header of its own.
    let no_user = url.set_username("").and_then(|()| url.set_password(None));
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || no_user.is_err() {
        return Err(unusable());
    }
    if from.scheme() == "https" && url.scheme() == "http" {
        return Err(ProtocolError::Downgrade(url.host_str().unwrap_or_default().to_owned()));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r4_locations_are_resolved_as_urls_are_and_never_lead_to_less_security() {
        let from = "https://r.example:5000/v2/a/blobs/uploads/";
        for (location_text, url) in [
            (
                "https://r.example:5000/x?_state=a%3D%3D",
                Some("https://r.example:5000/x?_state=a%3D%3D"),
            ),
            (
                "/v2/a/blobs/uploads/1?s=1",
                Some("https://r.example:5000/v2/a/blobs/uploads/1?s=1"),
            ),
            ("1?s=1", Some("https://r.example:5000/v2/a/blobs/uploads/1?s=1")),
            ("?s=1", Some("https://r.example:5000/v2/a/blobs/uploads/?s=1")),
            ("//evil.example/x", Some("https://evil.example/x")),
            ("https://u:p@s3.example/x", Some("https://s3.example/x")),
            ("http://r.example:5000/x", None),
            ("file:///etc/passwd", None),
            ("ftp://r.example/", None),
            ("https://", None),
        ] {
            let headers = HeaderMap::from_iter([(LOCATION, location_text.parse().unwrap())]);
            let resolved = location(&Url::parse(from).unwrap(), &headers).ok().map(String::from);
            assert_eq!(resolved.as_deref(), url, "{location_text}");
        }
        let missing = location(&Url::parse(from).unwrap(), &HeaderMap::new());
        assert!(matches!(missing, Err(ProtocolError::NoLocation)), "{missing:?}");
    }

    #[test]
    fn a_body_goes_elsewhere_only_where_the_method_stays() {
        for (method, status, follows) in [
            (Method::GET, 302, true),
            (Method::HEAD, 307, true),
            (Method::PUT, 307, true),
            (Method::POST, 302, false),
            (Method::GET, 304, false),
            (Method::GET, 200, false),
        ] {
            assert_eq!(
                is_redirect(&method, StatusCode::from_u16(status).unwrap()),
                follows,
                "{method} {status}"
            );
        }
    }
}
