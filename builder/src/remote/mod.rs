//! Places on the network that files come from, by the form of their names alone: nothing is asked here.
//!
//! The forms are BuildKit's. `ADD` takes web addresses, and git repositories where nothing else can be meant; a
//! build context may also be `github.com/owner/repository`.

mod git;
mod web;

pub(crate) use git::is_commit;
pub use git::{GitAddress, MtimeOf};
pub use web::WebAddress;

/// A place on the network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Remote {
    /// A file by HTTP.
    Web(WebAddress),
    /// A git repository.
    Git(GitAddress),
}

/// Why a name of a place on the network means none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RemoteError {
    /// A query that needs a value has none.
    #[error("query {0:?} has no value")]
    NoValue(String),
    /// A query is given twice.
    #[error("query {0:?} has multiple values")]
    ManyValues(String),
    /// A query that git addresses do not have.
    #[error("unexpected query {0:?}")]
    UnexpectedQuery(String),
    /// A query takes other values.
    #[error("invalid {query} value: {value:?}")]
    InvalidValue {
        /// The query.
        query: String,
        /// Its value.
        value: String,
    },
    /// Two refs are named.
    #[error("ref conflicts: {0:?} vs {1:?}")]
    RefConflict(String, String),
    /// Two directories are named.
    #[error("subdir conflicts: {0:?} vs {1:?}")]
    SubdirConflict(String, String),
    /// A branch and a tag are named.
    #[error("branch conflicts with tag")]
    BranchAndTag,
    /// Commits are fetched by name where only their whole name is known.
    #[error("fetch-by-commit requires a full commit hash as checksum")]
    ShortCommit,
    /// A name that git would not take for a ref, or would take for an option.
    #[error("{0:?} is not a git ref")]
    NotARef(String),
    /// A directory that would lead out of the repository.
    #[error("{0:?} is not a directory below the repository")]
    NotASubdir(String),
    /// An address without a host, or with one that a program would take for an option.
    #[error("{0:?} is not the address of a git repository")]
    NotAnAddress(String),
    /// A checksum that is no commit, not even the beginning of one.
    #[error("invalid checksum {0:?}: expected hex commit hash")]
    NotACommit(String),
}

impl Remote {
    /// Reads a source of `ADD`; `None` for a path of the context.
    pub fn of_add(text: &str) -> Option<Result<Self, RemoteError>> {
        if let Some(repository) = GitAddress::parse(text) {
            return Some(repository.map(Self::Git));
        }
        WebAddress::parse(text).map(|address| Ok(Self::Web(address)))
    }

    /// Reads a build context; `None` for a directory.
    pub fn of_context(text: &str) -> Option<Result<Self, RemoteError>> {
        if text.starts_with("github.com/") {
            return Some(GitAddress::of_repository(&format!("https://{text}")).map(Self::Git));
        }
        Self::of_add(text)
    }
}

/// Decodes `%41` as `A`; what is no such escape stays. `None` if the result is not text.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escape = (first == b'%').then(|| after.get(..2)).flatten();
        let byte = escape
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => {
                decoded.push(byte);
                rest = &after[2..];
            }
            None => {
                decoded.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(decoded).ok()
}

/// What stands for a user or password.
const MASK: &str = "xxxxx";

/// Masks the user and password of an address, which are nobody else's business: `https://xxxxx:xxxxx@host/`, as
/// BuildKit does. The user of an address of ssh is no secret.
pub fn masked(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else {
        return address.to_owned();
    };
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    match authority.rsplit_once('@') {
        Some((user, host)) if user.contains(':') => format!("{scheme}://{MASK}:{MASK}@{host}{path}"),
        Some((_, host)) if scheme.ends_with("http") || scheme.ends_with("https") => {
            format!("{scheme}://{MASK}@{host}{path}")
        }
        _ => address.to_owned(),
    }
}

/// Masks the users and passwords of all addresses in a line of words.
pub fn masked_words(line: &str) -> String {
    line.split(' ').map(masked).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_apart_by_their_form() {
        for (source, kind) in [
            ("file", "path"),
            ("dir/a@b", "path"),
            ("github.com/moby/buildkit", "path"),
            ("./git@example.com:x.git", "path"),
            ("http://example.com/file.tar", "web"),
            ("https://example.com/x.git/file", "web"),
            ("https://example.com/x.git", "git"),
            ("https://example.com/x.git#v1:dir", "git"),
            ("https://example.com/x.git?ref=v1", "git"),
            ("git@example.com:x.git", "git"),
            ("git://example.com/x", "git"),
            ("ssh://git@example.com/x", "git"),
        ] {
            let found = match Remote::of_add(source) {
                None => "path",
                Some(Ok(Remote::Web(_))) => "web",
                Some(Ok(Remote::Git(_))) => "git",
                Some(Err(error)) => panic!("{source}: {error}"),
            };
            assert_eq!(found, kind, "{source}");
        }
    }

    #[test]
    fn a_context_may_be_a_repository_of_github_without_its_scheme() {
        let context = Remote::of_context("github.com/owner/name#v1:sub").unwrap().unwrap();
        let Remote::Git(git) = context else {
            panic!("{context:?}")
        };
        assert_eq!(git.url, "https://github.com/owner/name");
        assert_eq!((git.reference.as_deref(), git.subdir.as_str()), (Some("v1"), "sub"));
        assert_eq!(Remote::of_context("directory"), None);
    }

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        for (address, shown) in [
            ("https://u:p@example.com/x", "https://xxxxx:xxxxx@example.com/x"),
            ("https://token@example.com/x", "https://xxxxx@example.com/x"),
            ("ssh://git@example.com/x", "ssh://git@example.com/x"),
            ("git@example.com:x", "git@example.com:x"),
            ("https://example.com/a@b", "https://example.com/a@b"),
        ] {
            assert_eq!(masked(address), shown);
        }
        assert_eq!(
            masked_words("ADD [\"https://t@example.com/\", https://u:p@example.com/ /"),
            "ADD [\"https://xxxxx@example.com/\", https://xxxxx:xxxxx@example.com/ /"
        );
    }
}
