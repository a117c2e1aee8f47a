//! From what `git ls-remote` prints to the commit that a ref means.

use crate::remote::is_commit;

/// A commit, and how a server is asked for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Found {
    /// Its whole name.
    pub(super) commit: String,
    /// The ref that names it; `None` if it was named itself.
    pub(super) reference: Option<String>,
    /// The annotated tag that names it.
    tag: Option<String>,
}

impl Found {
    pub(super) fn by_name(commit: &str) -> Self {
        Self {
            commit: commit.to_owned(),
            reference: None,
            tag: None,
        }
    }

    /// Tells whether the commit, or the tag that names it, is the one that a checksum names.
    pub(super) fn is_named(&self, checksum: &str) -> bool {
        self.commit.starts_with(checksum) || self.tag.as_ref().is_some_and(|tag| tag.starts_with(checksum))
    }
}

/// Returns what to ask for; the commit of an annotated tag has a name of its own.
pub(super) fn patterns(reference: &str) -> Vec<String> {
    vec![reference.to_owned(), format!("{reference}^{{}}")]
}

/// Chooses among the listed refs as `git checkout` would: the ref of this very name, then a branch, then a tag.
pub(super) fn choose(reference: &str, listed: &str) -> Option<Found> {
    let find = |name: &str| {
        let lines = listed.lines().filter_map(|line| line.split_once('\t'));
        let mut named = lines.filter(|(_, listed)| *listed == name);
        named
            .next()
            .map(|(object, _)| object)
            .filter(|object| is_commit(object))
    };
    let below = |prefix: &str| format!("{prefix}{}", reference.strip_prefix(prefix).unwrap_or(reference));
    let names = [
        reference.to_owned(),
        below("refs/"),
        below("refs/heads/"),
        below("refs/tags/"),
    ];
    names.into_iter().find_map(|name| {
        let object = find(&name)?;
        let (commit, tag) = match find(&format!("{name}^{{}}")) {
            Some(commit) => (commit, Some(object.to_owned())),
            None => (object, None),
        };
        Some(Found {
            commit: commit.to_owned(),
            reference: Some(name),
            tag,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_come_before_tags_and_annotated_tags_mean_their_commit() {
        let object = |digit: char| digit.to_string().repeat(40);
        let listed = [
            ('1', "HEAD"),
            ('1', "refs/heads/main"),
            ('2', "refs/heads/v1"),
            ('3', "refs/tags/v1"),
            ('4', "refs/tags/v2"),
            ('5', "refs/tags/v2^{}"),
            ('6', "refs/heads/refs/heads/main"),
            ('7', "refs/heads/x/v3"),
        ]
        .map(|(digit, name)| format!("{}\t{name}\n", object(digit)))
        .concat();
        for (reference, commit) in [
            ("HEAD", Some('1')),
            ("main", Some('1')),
            ("refs/heads/main", Some('1')),
            ("v1", Some('2')),
            ("refs/tags/v1", Some('3')),
            ("tags/v1", Some('3')),
            ("v2", Some('5')),
            ("v3", None),
            ("refs/heads/v2", None),
        ] {
            let found = choose(reference, &listed);
            assert_eq!(found.map(|found| found.commit), commit.map(object), "{reference}");
        }
        let tagged = choose("v2", &listed).unwrap();
        assert!(tagged.is_named("555") && tagged.is_named("444") && !tagged.is_named("333"));
    }

    #[test]
    fn what_is_no_list_of_refs_names_nothing() {
        assert_eq!(choose("HEAD", "<html>\nHEAD\n"), None);
        assert_eq!(choose("HEAD", "short\tHEAD\n"), None);
    }
}
