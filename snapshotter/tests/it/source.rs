//! Rules about the source that no compiler checks.

use std::fs;
use std::path::Path;

/// A path handed to `std::fs` is resolved by the kernel from wherever the process stands, links and all.
#[test]
fn no_path_is_opened_past_a_root() {
    let mut files = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut read = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        if path.ends_with("tests.rs") {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for line in code.lines().filter(|line| line.contains("std::fs")) {
            assert_eq!(line, "use std::fs::File;", "{}", path.display());
        }
        read += 1;
    }
    assert!(read > 25, "only {read} files were found");
}
