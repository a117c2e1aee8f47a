//! The tags of a repository: listing them, and deleting what they name (distribution-spec v1.1, "Listing tags",
//! "Deleting manifests").

use reqwest::header::LINK;
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use super::Client;
use super::error::{ClientError, MalformedError};
use super::session::Call;
use crate::auth::scope::ScopeSet;
use crate::oci::{Digest, Reference};

/// Tags that are asked for at once; a registry may give fewer.
const PAGE: &str = "1000";

/// Pages that are read at most, so that a registry that leads in circles is left.
const MOST_PAGES: usize = 1000;

/// The longest page that is read, in bytes.
const PAGE_LIMIT: u64 = 4 << 20;

impl Client {
    /// Returns the tags in the repository of `reference`; none if the repository is not there.
    pub async fn tags(&self, reference: &Reference) -> Result<Vec<String>, ClientError> {
        let target = self.session.target(reference).await?;
        let what = format!("the list of tags of `{}/{}`", target.registry, target.repository);
        let mut url = target.url("tags/list");
        url.query_pairs_mut().append_pair("n", PAGE);
        let mut tags = Vec::new();
        for _ in 0..MOST_PAGES {
            let call = Call::new(Method::GET, url.clone(), ScopeSet::pull(&target.repository));
            let (answer, bytes) = self.session.fetch(&target, &call, PAGE_LIMIT, &what).await?;
            match answer.status() {
                StatusCode::NOT_FOUND => return Ok(tags),
                status if !status.is_success() => return Err(answer.into_error().await),
                _ => {}
            }
            tags.extend(page(&bytes).map_err(|error| ClientError::Malformed {
                what: what.clone(),
                source: MalformedError::Json(error),
            })?);
            match answer.header(LINK).and_then(|link| next_page(&url, link)) {
                Some(next) => url = next,
                None => break,
            }
        }
        Ok(tags)
    }

    /// Deletes a manifest, and with it every tag that names it; returns whether it was there.
    pub async fn delete_manifest(&self, repository: &Reference, digest: Digest) -> Result<bool, ClientError> {
        let target = self.session.target(repository).await?;
        let url = target.url(&format!("manifests/{digest}"));
        let call = Call::new(Method::DELETE, url, ScopeSet::delete(&target.repository));
        let answer = self.session.call(&target, &call).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            _ => Err(answer.into_error().await),
        }
    }
}

/// Reads one page of the list.
pub(super) fn page(bytes: &[u8]) -> Result<Vec<String>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Page {
        /// Registries write `null` for none.
        tags: Option<Vec<String>>,
    }
    let page: Page = serde_json::from_slice(bytes)?;
    Ok(page.tags.unwrap_or_default())
}

/// Returns where the list goes on (RFC 8288), if that is in the same list: a registry does not lead elsewhere.
pub(super) fn next_page(page: &Url, link: &str) -> Option<Url> {
    let (address, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    let is_next = parameters
        .split(';')
        .any(|parameter| matches!(parameter.trim(), "rel=\"next\"" | "rel=next"));
    let next = page.join(address).ok().filter(|_| is_next)?;
    let is_same = next.origin() == page.origin() && next.path() == page.path();
    (is_same && next != *page).then_some(next)
}
