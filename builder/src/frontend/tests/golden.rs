//! Golden cases: a folder in `testdata/dockerfile` with a `Dockerfile`, perhaps `flags` (one a line), and what it
//! comes to in `graph`, `config` and `history`. `UPDATE_GOLDEN=1` writes them; a new case starts with an empty
//! `graph`.

use std::fs;
use std::path::{Path, PathBuf};

use super::{build, print};

#[test]
fn every_golden_case_is_lowered_to_what_is_written_there() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/dockerfile");
    let mut cases: Vec<PathBuf> = fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.retain(|case| case.join("graph").exists());
    cases.sort();
    assert!(cases.len() >= 10, "the golden cases are not there");
    let mut wrong = Vec::new();
    for case in cases {
        let flags = fs::read_to_string(case.join("flags")).unwrap_or_default();
        let text = fs::read_to_string(case.join("Dockerfile")).unwrap();
        let built = build(&text, &flags.lines().collect::<Vec<_>>());
        let printed = [
            ("graph", print::graph(&built)),
            ("config", print::config(&built)),
            ("history", print::history(&built)),
        ];
        for (name, found) in printed {
            let file = case.join(name);
            if update {
                fs::write(&file, &found).unwrap();
            }
            let wanted = fs::read_to_string(&file).unwrap_or_default();
            if found != wanted {
                wrong.push(format!("--- {} should be\n{wanted}+++ is\n{found}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
