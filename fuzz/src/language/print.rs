//! What is printed parses to the same tree.

use std::sync::Arc;

use builder::diagnostic::SourceFile;
use builder::dockerfile::{Dockerfile, parse, print};

use super::meaning;

/// Reads a Dockerfile; nothing if it has errors.
fn read(text: &str) -> Option<Dockerfile> {
    parse(Arc::new(SourceFile::new("Dockerfile", text))).ok()
}

/// Checks that a text that is a Dockerfile still is the same one when it is printed. Says whether it is one.
pub(crate) fn assert_printed_parses_back(text: &str) -> bool {
    let Some(file) = read(text) else { return false };
    let printed = print(&file).unwrap_or_else(|error| panic!("{error}:\n{text}"));
    let again = read(&printed).unwrap_or_else(|| panic!("refused when printed:\n{text}\n--- printed:\n{printed}"));
    assert_eq!(
        meaning::of_file(&file),
        meaning::of_file(&again),
        "not the same when printed:\n{text}\n--- printed:\n{printed}"
    );
    true
}
