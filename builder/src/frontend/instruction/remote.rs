//! Sources of `ADD` that are not files of the context.

/// A source on the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Remote {
    /// A file by HTTP.
    Url,
    /// A git repository.
    Git,
}

/// Tells whether a source is on the network, by its form alone.
///
/// A path like `github.com/user/repository` could be meant as either and is a path.
pub(super) fn classify(source: &str) -> Option<Remote> {
    let is_web = source.starts_with("http://") || source.starts_with("https://");
    if is_web {
        let path = source.split(['?', '#']).next().unwrap_or_default();
        return Some(if path.ends_with(".git") {
            Remote::Git
        } else {
            Remote::Url
        });
    }
    let has_scheme = source.starts_with("git://") || source.starts_with("ssh://");
    (has_scheme || is_scp(source)).then_some(Remote::Git)
}

/// Tells whether a source has the form `user@host:path`.
fn is_scp(source: &str) -> bool {
    let word = |text: &str, also: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
    };
    let Some((user, rest)) = source.split_once('@') else {
        return false;
    };
    rest.split_once(':')
        .is_some_and(|(host, _)| word(user, "-_") && word(host, "-."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_apart_by_their_form() {
        for (source, remote) in [
            ("file", None),
            ("dir/a@b", None),
            ("github.com/moby/buildkit", None),
            ("http://example.com/file.tar", Some(Remote::Url)),
            ("https://example.com/x.git/file", Some(Remote::Url)),
            ("https://example.com/x.git", Some(Remote::Git)),
            ("https://example.com/x.git#v1:dir", Some(Remote::Git)),
            ("https://example.com/x.git?ref=v1", Some(Remote::Git)),
            ("git@example.com:x.git", Some(Remote::Git)),
            ("git://example.com/x", Some(Remote::Git)),
            ("ssh://git@example.com/x", Some(Remote::Git)),
        ] {
            assert_eq!(classify(source), remote, "{source}");
        }
    }
}
