//! What the fuzzer kept, replayed: inputs that together reach all that it has ever reached.

use std::{fs, path::Path};

use crate::{properties, shared::files_below};

fn replay(target: &str, check: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let inputs = files_below(&corpus);
    assert!(inputs.len() > 50, "{} is no corpus", corpus.display());
    inputs.iter().for_each(|input| check(&fs::read(input).unwrap()));
}

#[test]
fn what_was_kept_for_the_parser_is_read_or_refused() {
    replay("parse", properties::parse::check);
}

#[test]
fn what_was_kept_for_substitution_expands_as_it_should() {
    replay("words", properties::words::check);
}

#[test]
fn what_was_kept_for_ignore_files_is_decided_as_defined() {
    replay("ignore", properties::ignore::check);
}
