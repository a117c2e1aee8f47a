//! `CopyIgnoredFile`.

use super::StageRule;
use crate::dockerfile::InstructionKind;
use crate::dockerfile::ignore::Matcher;
use crate::frontend::Seen;
use crate::lint::findings::Findings;
use crate::lint::rule;

/// Patterns that leave nothing of the context.
const EVERYTHING: [&str; 3] = ["*", "**", "**/*"];

/// Warns of paths that the ignore file hides. An ignore file with exceptions is not looked at: what it leaves of a
/// directory cannot be told from the names alone.
pub(super) struct Ignored {
    ignored: Option<Matcher>,
    verb: &'static str,
}

impl Ignored {
    pub(super) fn new(ignored: Option<Matcher>) -> Self {
        Self {
            ignored: ignored.filter(|matcher| !matcher.has_exceptions()),
            verb: "Copy",
        }
    }
}

impl StageRule for Ignored {
    fn see(&mut self, seen: &Seen<'_>, findings: &mut Findings) {
        match (seen, &self.ignored) {
            (Seen::Instruction { instruction, .. }, _) => {
                let adds = matches!(instruction.kind, InstructionKind::Add(_));
                self.verb = if adds { "Add" } else { "Copy" };
            }
            (Seen::ContextPath { path, span }, Some(ignored)) => {
                let path = clean(path);
                if hides(ignored, &path) {
                    let verb = self.verb;
                    let detail = format!("Attempting to {verb} file \"{path}\" that is excluded by .dockerignore");
                    findings.warn(&rule::COPY_IGNORED_FILE, detail, *span);
                }
            }
            _ => {}
        }
    }
}

fn hides(ignored: &Matcher, path: &str) -> bool {
    if path == "." {
        let mut patterns = ignored.patterns().iter();
        return patterns.any(|pattern| EVERYTHING.contains(&pattern.text().trim()));
    }
    ignored.ignores(path.trim_start_matches('/'))
}

/// Returns the path without empty parts, `.` and what `..` takes back.
fn clean(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return ".".to_owned();
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}
