//! Every file of the corpus parses to BuildKit's tree, and what BuildKit refuses is refused.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    sync::Arc,
};

use builder::{diagnostic::SourceFile, dockerfile::parse};
use serde::Deserialize;

use crate::{
    projection::{self, Node},
    shared::corpus,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    file: String,
    err: String,
    instr_err: String,
    escape: String,
    nodes: Option<Vec<Node>>,
}

fn records(file: &str) -> Vec<Record> {
    let reader = BufReader::new(fs::File::open(corpus().join(file)).unwrap());
    reader
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect()
}

/// Compares one file; gives what differs.
fn difference(record: Record, path: &Path) -> Option<String> {
    let text = fs::read(path).unwrap();
    let source = Arc::new(SourceFile::new(record.file.as_str(), String::from_utf8_lossy(&text)));
    let refused = [&record.err, &record.instr_err]
        .into_iter()
        .find(|error| !error.is_empty());
    let file = match (parse(source), refused) {
        (Ok(file), None) => file,
        (Ok(_), Some(error)) => return Some(format!("accepted, but BuildKit says: {error}")),
        (Err(errors), Some(error)) => {
            let error = error
                .split_once(": ")
                .filter(|(line, _)| line.contains("on line"))
                .map_or(error.as_str(), |(_, error)| error);
            let same = errors.iter().any(|ours| ours.message == error);
            return (!same).then(|| format!("BuildKit says {error:?}, we {:?}", errors[0].message));
        }
        (Err(errors), None) => return Some(format!("refused: {:?}", errors[0])),
    };
    if file.escape.to_string() != record.escape {
        return Some(format!("escape {} instead of {}", file.escape, record.escape));
    }
    let theirs: Vec<Node> = record
        .nodes
        .unwrap_or_default()
        .into_iter()
        .map(Node::normalized)
        .collect();
    let ours = projection::nodes(&file);
    if let Some((ours, theirs)) = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs) {
        return Some(format!("\n ours   {ours:?}\n theirs {theirs:?}"));
    }
    (ours.len() != theirs.len()).then(|| format!("{} instructions instead of {}", ours.len(), theirs.len()))
}

fn compare(records: Vec<Record>, path: impl Fn(&str) -> std::path::PathBuf) {
    let count = records.len();
    let differences: Vec<String> = records
        .into_iter()
        .filter_map(|record| {
            let name = record.file.clone();
            let path = path(&name);
            difference(record, &path).map(|difference| format!("{name}: {difference}"))
        })
        .collect();
    assert!(
        differences.is_empty(),
        "{} of {count} files differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

#[test]
fn every_real_file_parses_as_buildkit_parses_it() {
    let records = records("buildkit-ast.jsonl");
    assert_eq!(records.len(), 1711);
    compare(records, |file| corpus().join("files").join(file));
}

#[test]
fn every_adversarial_file_parses_as_buildkit_parses_it() {
    let records = records("buildkit-ast-adversarial.jsonl");
    assert_eq!(records.len(), 70);
    compare(records, |file| {
        corpus()
            .join("adversarial")
            .join(file.trim_start_matches("_adversarial/"))
    });
}
