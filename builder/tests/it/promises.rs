//! The tables of promises say what is so: the tests and files that they name exist, and what a sandbox does not promise
//! is what croze itself tells of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use builder::rung::Rung;

use crate::harness::workspace;

const ARCHITECTURE: &str = "ARCHITECTURE.md";
const ATTACKS: &str = "testdata/pods/attacks/README.md";

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap()
}

/// What stands between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The text of every Rust file below a directory.
fn sources(directory: &Path) -> String {
    let mut text = String::new();
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text += &fs::read_to_string(path).unwrap();
            }
        }
    }
    text
}

/// Where the tests of a suite are, if there is one of that name.
fn suite(name: &str) -> Option<PathBuf> {
    let parts = match name {
        "sandbox" | "pods" | "it" | "dockerfile" => format!("builder/tests/{name}"),
        "builder" => "builder/src".to_owned(),
        "snapshotter" | "registry" | "fuzz" => name.to_owned(),
        _ => return None,
    };
    Some(workspace().join(parts))
}

/// Tells whether a suite has a test of this name: a function, or one that a macro makes of a table.
fn exists(found: &str, test: &str) -> bool {
    [format!("fn {test}("), format!(" {test}: ")]
        .iter()
        .any(|form| found.contains(form))
}

/// The rows of `testdata/advisories.tsv`: row, what it is, tests, note.
fn advisories() -> Vec<[String; 4]> {
    let text = read("testdata/advisories.tsv");
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| {
        let cells: Vec<String> = line.split('\t').map(str::to_owned).collect();
        cells.try_into().unwrap_or_else(|_| panic!("four cells: {line}"))
    })
    .collect()
}

#[test]
fn every_row_of_the_threat_table_names_tests_that_exist_or_says_why_not() {
    let rows = advisories();
    let mut wanted: Vec<String> = Vec::new();
    for (letter, count) in [
        ("U", 19),
        ("M", 20),
        ("G", 11),
        ("R", 13),
        ("C", 8),
        ("S", 5),
        ("L", 4),
        ("D", 1),
        ("V", 1),
    ] {
        wanted.extend((1..=count).map(|number| format!("{letter}{number}")));
    }
    let named: Vec<&String> = rows
        .iter()
        .map(|row| &row[0])
        .filter(|row| !row.starts_with("F-"))
        .collect();
    assert_eq!(named, wanted.iter().collect::<Vec<_>>());
    let mut texts = std::collections::BTreeMap::new();
    for [row, _, tests, note] in &rows {
        let is_told = note.is_empty()
            || ["missing: ", "does not apply: ", "note: "]
                .iter()
                .any(|kind| note.starts_with(kind));
        assert!(is_told && !(tests.is_empty() && note.is_empty()), "{row}");
        for name in tests.split_ascii_whitespace() {
            let (suite_name, test) = name.split_once("::").unwrap();
            let directory = suite(suite_name).unwrap_or_else(|| panic!("{row}: no suite `{suite_name}`"));
            let text = texts
                .entry(suite_name.to_owned())
                .or_insert_with(|| sources(&directory));
            assert!(exists(text, test), "{row}: there is no test `{name}`");
        }
    }
}

/// Versions before these have holes that strangers can use (row R9).
const REPAIRED: [(&str, [u32; 3]); 3] = [("rustls", [0, 23, 18]), ("tar", [0, 4, 45]), ("h2", [0, 4, 4])];

#[test]
fn r9_crates_with_known_holes_are_not_older_than_their_repair() {
    let lock = read("Cargo.lock");
    for (name, repaired) in REPAIRED {
        let versions = lock
            .split("[[package]]")
            .filter(|part| part.contains(&format!("\nname = \"{name}\"\n")));
        for part in versions {
            let version = part
                .split("version = \"")
                .nth(1)
                .and_then(|rest| rest.split('"').next())
                .unwrap();
            let numbers: Vec<u32> = version.split('.').map(|number| number.parse().unwrap()).collect();
            assert!(numbers >= repaired.to_vec(), "{name} {version} has known holes");
        }
        assert!(
            lock.contains(&format!("name = \"{name}\"\n")),
            "{name} is not used: leave it out here"
        );
    }
}

#[test]
fn the_tests_that_the_tables_name_exist() {
    for document in [ARCHITECTURE, ATTACKS] {
        let text = read(document);
        let named = code(&text).filter_map(|word| word.split_once("::"));
        let mut count = 0;
        for (name, test) in named.filter(|(_, test)| !test.contains(':')) {
            let Some(directory) = suite(name) else { continue };
            assert!(
                exists(&sources(&directory), test),
                "{document}: there is no test `{name}::{test}`"
            );
            count += 1;
        }
        assert!(count > 5, "{document} names {count} tests");
    }
}

/// The rows of a table of Markdown, below the line that begins with `start`.
fn table(text: &str, start: &str) -> Vec<Vec<String>> {
    let lines = text.lines().skip_while(|line| !line.starts_with(start));
    let rows = lines.take_while(|line| line.starts_with('|'));
    let cells = |line: &str| {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    rows.filter(|row| !row.starts_with("|---")).map(cells).collect()
}

fn attack_files() -> BTreeSet<String> {
    let entries = fs::read_dir(workspace().join("testdata/pods/attacks")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter_map(|name| Some(name.strip_suffix(".Dockerfile")?.to_owned()))
        .collect()
}

fn names(cell: &str) -> impl Iterator<Item = String> {
    cell.split(", ").filter(|name| !name.is_empty()).map(str::to_owned)
}

#[test]
fn the_table_of_promises_says_of_each_sandbox_what_croze_does() {
    let table = table(&read(ARCHITECTURE), "| promise |");
    let (header, rows) = table.split_first().unwrap();
    let rungs: Vec<Rung> = header[2..]
        .iter()
        .map(|cell| code(cell).next().unwrap().parse().unwrap())
        .collect();
    for rung in Rung::ALL {
        let column = 2 + rungs
            .iter()
            .position(|other| *other == rung)
            .expect("a column for each");
        let refused = rows.iter().filter(|row| row[column].starts_with("no"));
        let refused: BTreeSet<&str> = refused.flat_map(|row| code(&row[column])).collect();
        let told: BTreeSet<&str> = rung.weaknesses().iter().map(|weakness| weakness.name).collect();
        assert_eq!(refused, told, "{rung}");
    }
    // Rows without files name the tests themselves.
    let tried: BTreeSet<String> = rows.iter().skip(2).flat_map(|row| names(&row[1])).collect();
    assert_eq!(tried, attack_files());
}

#[test]
fn the_table_of_attacks_has_every_row_and_names_files_that_exist() {
    let table = table(&read(ATTACKS), "| row |");
    let rows: Vec<&str> = table[1..].iter().map(|row| row[0].as_str()).collect();
    assert_eq!(rows, (1..=20).map(|number| format!("M{number}")).collect::<Vec<_>>());
    let named: BTreeSet<String> = table[1..].iter().flat_map(|row| names(&row[2])).collect();
    let files = attack_files();
    assert!(named.is_subset(&files), "{:?}", named.difference(&files));
    let of_rows: BTreeSet<String> = files
        .into_iter()
        .filter(|name| name.starts_with('m') && name != "mount-sizes")
        .collect();
    assert!(of_rows.is_subset(&named), "{:?}", of_rows.difference(&named));
}
