//! Ignore decisions against moby's pattern matcher, and against one that is too simple to be wrong.

use std::{fs, iter::zip};

use builder::dockerfile::ignore::Matcher;
use proptest::prelude::*;
use serde::Deserialize;

use crate::properties;
use crate::shared::corpus;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Case {
    #[serde(rename = "P")]
    patterns: Vec<String>,
    #[serde(rename = "F")]
    files: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Expected {
    err: String,
    #[serde(rename = "M")]
    matched: Option<Vec<bool>>,
}

fn read<T: for<'de> Deserialize<'de>>(file: &str) -> Vec<T> {
    let text = fs::read_to_string(corpus().join(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn all_ignore_decisions_agree_with_mobys() {
    let cases: Vec<Case> = read("dockerignore-cases.jsonl");
    let expected: Vec<Expected> = read("dockerignore-expected.jsonl");
    assert_eq!(cases.len(), expected.len());
    let mut decisions = 0;
    for (case, expected) in zip(cases, expected) {
        let patterns = &case.patterns;
        let matcher = match Matcher::parse(&patterns.join("\n")) {
            Ok(matcher) => matcher,
            Err(error) => {
                assert!(error.to_string().starts_with(&expected.err), "{patterns:?}: {error}");
                assert_ne!(expected.err, "", "{patterns:?}: {error}");
                continue;
            }
        };
        assert_eq!(expected.err, "", "{patterns:?} is accepted");
        let mut walk = matcher.descent();
        for (file, matched) in zip(&case.files, expected.matched.unwrap()) {
            assert_eq!(matcher.ignores(file), matched, "{patterns:?} {file}");
            assert_eq!(walk.ignores(file), matched, "{patterns:?} {file} in a walk");
            decisions += 1;
            // Whoever skips a directory must lose nothing.
            if walk.ignores_all_below(file) {
                let below = format!("{file}/");
                let mut others = case.files.iter().filter(|other| other.starts_with(&below));
                assert!(others.all(|other| matcher.ignores(other)), "{patterns:?} {file}");
            }
        }
    }
    assert_eq!(decisions, 225_654);
}

/// A line of an ignore file: names and wildcards, mostly of few letters so that they meet.
fn pattern() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        4 => "[ab.]?[abc]",
        2 => "[*?]?[abc][*?]?",
        1 => "\\[\\^?[a-c]-?[c-d]\\]",
        1 => Just("*".to_owned()),
        2 => Just("**".to_owned()),
        1 => "[!#*?\\[\\]\\\\^/.a-c\\-:&~\u{e9} ]{0,6}",
    ];
    let names = prop::collection::vec(name, 1..4).prop_map(|names| names.join("/"));
    ("!?/?", names, "/?").prop_map(|(before, names, after)| before + &names + &after)
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab.]?[abc]", 1..5).prop_map(|names| names.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn decisions_agree_with_the_definition(
        patterns in prop::collection::vec(pattern(), 0..6),
        paths in prop::collection::vec(path(), 1..12),
    ) {
        properties::ignore::check(format!("{}\n\n{}", patterns.join("\n"), paths.join("\n")).as_bytes());
    }
}
