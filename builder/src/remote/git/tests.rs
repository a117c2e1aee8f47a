//! Tables of addresses and of what they mean.

use super::*;

const REPOSITORY: &str = "https://example.com/x.git";

fn read(suffix: &str) -> Result<GitAddress, RemoteError> {
    GitAddress::of_repository(&format!("{REPOSITORY}{suffix}"))
}

#[test]
fn a_ref_and_a_directory_are_read_from_fragment_and_query() {
    for (suffix, reference, subdir, checksum) in [
        ("", None, "", None),
        ("#", None, "", None),
        ("#v1", Some("v1"), "", None),
        ("#v1:a/b", Some("v1"), "a/b", None),
        ("#:/a//b/.", None, "a/b", None),
        ("?ref=base", Some("base"), "", None),
        ("?branch=base", Some("refs/heads/base"), "", None),
        ("?branch=refs/heads/base", Some("refs/heads/base"), "", None),
        ("?tag=v1#refs/tags/v1", Some("refs/tags/v1"), "", None),
        ("?tag=v1&commit=abc123", Some("refs/tags/v1"), "", Some("abc123")),
        ("?checksum=abc123", None, "", Some("abc123")),
        ("?subdir=sub&ref=feature", Some("feature"), "sub", None),
        ("?subdir=sub#feature:sub", Some("feature"), "sub", None),
        ("?ref=a%2Fb", Some("a/b"), "", None),
    ] {
        let address = read(suffix).unwrap_or_else(|error| panic!("{suffix}: {error}"));
        assert_eq!(address.url, REPOSITORY);
        assert_eq!(address.reference.as_deref(), reference, "{suffix}");
        assert_eq!(address.subdir, subdir, "{suffix}");
        assert_eq!(address.checksum.as_deref(), checksum, "{suffix}");
    }
}

#[test]
fn flags_are_set_by_their_name_alone() {
    for (suffix, keep, submodules) in [
        ("", None, None),
        ("?keep-git-dir&submodules", Some(true), Some(true)),
        ("?keep-git-dir=false&submodules=0", Some(false), Some(false)),
        ("?submodules=true", None, Some(true)),
    ] {
        let address = read(suffix).unwrap();
        assert_eq!(
            (address.keep_git_dir, address.submodules),
            (keep, submodules),
            "{suffix}"
        );
    }
    assert_eq!(read("?mtime=commit").unwrap().mtime, Some(MtimeOf::Commit));
}

#[test]
fn what_contradicts_itself_is_refused_in_buildkits_words() {
    for (suffix, message) in [
        ("?ref=a#b", "ref conflicts: \"b\" vs \"a\""),
        (
            "?tag=v1#refs/heads/master",
            "ref conflicts: \"refs/heads/master\" vs \"refs/tags/v1\"",
        ),
        ("?branch=a&tag=b", "branch conflicts with tag"),
        ("?subdir=a#x:b", "subdir conflicts: \"b\" vs \"a\""),
        ("?ref=", "query \"ref\" has no value"),
        ("?ref=a&ref=b", "query \"ref\" has multiple values"),
        ("?unknown=1", "unexpected query \"unknown\""),
        ("?keep-git-dir=maybe", "invalid keep-git-dir value: \"maybe\""),
        ("?submodules=x", "invalid submodules value: \"x\""),
        ("?mtime=now", "invalid mtime value: \"now\""),
        (
            "?commit=foobar",
            "invalid checksum \"foobar\": expected hex commit hash",
        ),
        (
            "?commit=abc&fetch-by-commit",
            "fetch-by-commit requires a full commit hash as checksum",
        ),
    ] {
        assert_eq!(
            read(suffix).map_err(|e| e.to_string()),
            Err(message.to_owned()),
            "{suffix}"
        );
    }
}

#[test]
fn nothing_can_be_taken_for_an_option_or_lead_out_of_the_repository() {
    for suffix in [
        "#--upload-pack=touch",
        "#a..b",
        "#a b",
        "#a\nb",
        "#a^{}",
        "?ref=%2d%2dexec",
        "#main:../../etc",
        "#main:a/../../etc",
        "#main:.git/hooks",
    ] {
        let refused = read(suffix);
        assert!(
            matches!(refused, Err(RemoteError::NotARef(_) | RemoteError::NotASubdir(_))),
            "{suffix:?}: {refused:?}"
        );
    }
    for url in [
        "ssh://-oProxyCommand=touch/x",
        "ssh://git@-oProxyCommand=touch/x",
        "git://-x/y",
        "https:///x.git",
        "ssh://host/-x",
        "git@host:-x",
        "https://host/x y.git",
    ] {
        let refused = GitAddress::of_repository(url);
        assert!(
            matches!(refused, Err(RemoteError::NotAnAddress(_))),
            "{url}: {refused:?}"
        );
    }
    assert_eq!(GitAddress::parse("ext::sh -c touch% /tmp/x"), None);
    assert_eq!(GitAddress::parse("file:///etc"), None);
}

#[test]
fn an_instructions_checksum_must_agree_with_the_address() {
    let plain = read("#v1").unwrap();
    assert_eq!(
        plain.clone().with_checksum("abc").unwrap().checksum.as_deref(),
        Some("abc")
    );
    let error = plain.with_checksum("foobar").unwrap_err().to_string();
    assert!(error.contains("invalid checksum") && error.contains("expected hex commit hash"));
    assert!(read("?commit=abc").unwrap().with_checksum("def").is_err());
}
