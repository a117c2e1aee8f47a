//! Ignore decisions against moby's pattern matcher.

use std::{fs, iter::zip};

use builder::dockerfile::ignore::Matcher;
use serde::Deserialize;

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
        for (file, matched) in zip(&case.files, expected.matched.unwrap()) {
            assert_eq!(matcher.ignores(file), matched, "{patterns:?} {file}");
            decisions += 1;
            // Whoever skips a directory must lose nothing.
            if matcher.ignores_all_below(file) {
                let below = format!("{file}/");
                let mut others = case.files.iter().filter(|other| other.starts_with(&below));
                assert!(others.all(|other| matcher.ignores(other)), "{patterns:?} {file}");
            }
        }
    }
    assert_eq!(decisions, 225_654);
}
