//! `testdata/buildkit-checks.tsv`: of each of BuildKit's checks, where it is performed or why it is not.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::harness::workspace;

/// The numbers that are given: checks of the integration tests, of the units, and of the client.
const NUMBERS: [std::ops::RangeInclusive<u32>; 3] = [1..=287, 300..=352, 360..=385];

/// The rows by number: state, and the tests or the reason. The last column says what of the check is left out.
fn rows() -> BTreeMap<u32, (String, String)> {
    let table = fs::read_to_string(workspace().join("testdata/buildkit-checks.tsv")).unwrap();
    let mut rows = BTreeMap::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let [number, upstream, state, text, _note] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        assert!(!upstream.is_empty() && !text.is_empty(), "{line}");
        let number = number
            .strip_prefix("BK-")
            .and_then(|number| number.parse().ok())
            .unwrap();
        let twice = rows.insert(number, (state.to_owned(), text.to_owned()));
        assert!(twice.is_none(), "{line}");
    }
    rows
}

/// Every test of the workspace as `module::…::name`, without the crate and the directory.
fn tests() -> Vec<String> {
    fn collect(directory: &Path, modules: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            if path.is_dir() {
                collect(&path, &format!("{modules}{name}::"), found);
            } else if let Some(name) = name.strip_suffix(".rs") {
                let module = match name {
                    "mod" | "main" | "lib" => modules.to_owned(),
                    name => format!("{modules}{name}::"),
                };
                let mut is_test = false;
                for line in fs::read_to_string(&path).unwrap().lines().map(str::trim) {
                    is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
                    let line = line.strip_prefix("async ").unwrap_or(line);
                    if let Some((name, _)) = line.strip_prefix("fn ").and_then(|rest| rest.split_once('(')) {
                        if is_test {
                            found.push(format!("{module}{name}"));
                            found.push(format!("{module}tests::{name}"));
                        }
                        is_test = false;
                    }
                }
            }
        }
    }
    let mut found = Vec::new();
    for (directory, modules) in [("src", ""), ("tests/it", ""), ("tests/dockerfile", "dockerfile::")] {
        collect(&workspace().join("builder").join(directory), modules, &mut found);
    }
    found
}

#[test]
fn every_check_has_a_row() {
    let numbers: Vec<u32> = NUMBERS.into_iter().flatten().collect();
    assert_eq!(rows().into_keys().collect::<Vec<_>>(), numbers);
}

#[test]
fn what_passes_names_a_test_that_exists() {
    let tests = tests();
    for (number, (state, text)) in rows() {
        match state.as_str() {
            "passes" | "elsewhere" => {
                for test in text.split(", ") {
                    assert!(
                        tests.iter().any(|known| known == test),
                        "BK-{number:03}: there is no test `{test}`"
                    );
                }
            }
            "not yet" | "cannot apply" => assert!(text.contains(' '), "BK-{number:03}: say why"),
            other => panic!("BK-{number:03}: `{other}` is no state"),
        }
    }
}
