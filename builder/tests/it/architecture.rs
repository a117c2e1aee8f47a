//! The rules of the code base that can be checked by reading it: layers, sizes, headers, messages, names.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines a file may have before it must say why it has more.
const MAX_LINES: usize = 400;
/// What the header of a longer file must contain.
const EXCUSE: &str = "Longer than 400 lines because";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every Rust file of the workspace, with its text.
fn sources() -> Vec<(PathBuf, String)> {
    fn collect(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    for part in ["builder", "snapshotter", "registry", "fault", "fuzz"] {
        for folder in ["src", "tests", "benches", "examples"] {
            let directory = workspace().join(part).join(folder);
            if directory.exists() {
                collect(&directory, &mut found);
            }
        }
    }
    assert!(found.len() > 50, "the sources were not found");
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(workspace()).unwrap().display().to_string()
}

fn assert_none(offenders: Vec<String>, rule: &str) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

#[test]
fn a_module_of_the_builder_uses_only_those_below_it() {
    let lib = fs::read_to_string(workspace().join("builder/src/lib.rs")).unwrap();
    let order: Vec<&str> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod "))
        .filter_map(|m| m.strip_suffix(';'))
        .collect();
    let rank = |name: &str| order.iter().position(|module| *module == name);
    let mut offenders = Vec::new();
    for (path, text) in sources() {
        let shown = relative(&path);
        let Some(inside) = shown.strip_prefix("builder/src/") else {
            continue;
        };
        let module = inside.split(['/', '.']).next().unwrap();
        let Some(own) = rank(module) else { continue };
        for (number, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            for used in line.split("crate::").skip(1) {
                let used = used.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                if rank(used).is_some_and(|used| used > own) {
                    offenders.push(format!(
                        "{shown}:{} uses `{used}`, which is above `{module}`",
                        number + 1
                    ));
                }
            }
        }
    }
    assert_none(offenders, "modules are ordered bottom-up in builder/src/lib.rs");
}

#[test]
fn the_two_lower_crates_do_not_know_each_other() {
    for (part, foreign) in [
        ("snapshotter", ["registry", "builder"]),
        ("registry", ["snapshotter", "builder"]),
    ] {
        let manifest = fs::read_to_string(workspace().join(part).join("Cargo.toml")).unwrap();
        for name in foreign {
            assert!(
                !manifest.contains(&format!("{name}.workspace")),
                "{part} must not depend on {name}"
            );
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let offenders = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| relative(&path));
    assert_none(offenders.collect(), "every file starts with a `//!` paragraph");
}

#[test]
fn no_file_is_long_without_a_reason() {
    let offenders = sources().into_iter().filter(|(_, text)| {
        let header: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        text.lines().count() > MAX_LINES && !header.contains(EXCUSE)
    });
    assert_none(
        offenders
            .map(|(path, text)| format!("{} has {} lines", relative(&path), text.lines().count()))
            .collect(),
        "a file over 400 lines says in its header why",
    );
}

#[test]
fn messages_are_lower_case_fragments() {
    let mut offenders = Vec::new();
    // A name keeps its capital.
    const NAMES: [&str; 1] = ["AppArmor "];
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            let Some(message) = line
                .trim()
                .strip_prefix("#[error(\"")
                .and_then(|rest| rest.rsplit_once("\")]"))
            else {
                continue;
            };
            let first = message.0.chars().next();
            let is_name = NAMES.iter().any(|name| message.0.starts_with(name));
            if first.is_some_and(char::is_uppercase) && !is_name || message.0.ends_with('.') {
                offenders.push(format!("{}:{}: {}", relative(&path), number + 1, message.0));
            }
        }
    }
    assert_none(
        offenders,
        "an error message is a lower-case fragment without a full stop",
    );
}

#[test]
fn unsafe_code_stays_in_one_place() {
    let offenders = sources().into_iter().filter(|(path, text)| {
        let shown = relative(path);
        let word = ["unsafe", " {"].concat();
        !shown.starts_with("builder/src/sys") && text.contains(&word)
    });
    assert_none(
        offenders.map(|(path, _)| relative(&path)).collect(),
        "`unsafe` lives in builder/src/sys only",
    );
}

#[test]
fn no_file_is_named_for_nothing() {
    let offenders = sources().into_iter().map(|(path, _)| relative(&path)).filter(|path| {
        path.split(['/', '.']).any(|part| {
            matches!(
                part,
                "util" | "utils" | "common" | "helpers" | "helper_functions" | "misc"
            )
        })
    });
    assert_none(offenders.collect(), "a file is named for what it does");
}

#[test]
fn every_path_that_the_architecture_names_exists() {
    let text = fs::read_to_string(workspace().join("ARCHITECTURE.md")).unwrap();
    let named = text.split('`').skip(1).step_by(2).filter(|word| {
        let roots = [
            "builder/",
            "snapshotter/",
            "registry/",
            "fault/",
            "fuzz/",
            "testdata/",
            "ci-examples/",
            ".ci/",
        ];
        roots.iter().any(|root| word.starts_with(root)) && !word.contains(['<', '*', ' ', '{'])
    });
    let missing: Vec<String> = named
        .filter(|path| !workspace().join(path).exists())
        .map(str::to_owned)
        .collect();
    assert_none(missing, "ARCHITECTURE.md names paths that do not exist");
}

#[test]
fn every_suite_is_run_by_the_test_script() {
    let script = fs::read_to_string(workspace().join("testdata/test.sh")).unwrap();
    let mut suites = Vec::new();
    for (path, _) in sources() {
        let shown = relative(&path);
        let inside = shown
            .split_once('/')
            .and_then(|(_, inside)| inside.strip_prefix("tests/"));
        let name = inside.and_then(|inside| inside.strip_suffix("/main.rs").or(inside.strip_suffix(".rs")));
        suites.extend(name.filter(|name| !name.contains('/')).map(str::to_owned));
    }
    assert!(suites.len() >= 7, "the suites were not found: {suites:?}");
    suites.retain(|suite| !script.contains(&format!("--test {suite} ")));
    assert_none(suites, "named in `testdata/test.sh`");
}
