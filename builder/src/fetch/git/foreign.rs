//! A door for the fuzzer to what git prints of a repository.

use super::origin::repository;
use super::refs::choose;

/// Checks what `git ls-remote` printed about a ref: a commit that stands there is chosen, or none.
pub fn references(reference: &str, listed: &str) {
    if let Some(found) = choose(reference, listed) {
        let commit = &found.commit;
        assert!(matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(listed.contains(commit.as_str()), "{commit} of {listed:?}");
        let name = found.reference.as_deref().unwrap_or_default();
        assert!(listed.contains(name), "{name:?} of {listed:?}");
    }
    assert!(repository(listed).is_none_or(|address| listed.contains(address)));
}
