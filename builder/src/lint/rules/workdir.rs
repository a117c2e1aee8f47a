//! `WorkdirRelativePath`.

use std::collections::BTreeSet;

use super::StageRule;
use crate::diagnostic::Span;
use crate::frontend::Seen;
use crate::lint::findings::Findings;
use crate::lint::rule;

/// Warns of a relative `WORKDIR` that starts from wherever the base image happens to be.
#[derive(Default)]
pub(super) struct Relative {
    stage: usize,
    /// The stages whose working directory the Dockerfile itself has set.
    set: BTreeSet<usize>,
}

impl Relative {
    fn go(&mut self, path: &str, span: Span, findings: &mut Findings) {
        let is_first = self.set.insert(self.stage);
        if is_first && !path.starts_with('/') {
            let detail = format!("Relative workdir \"{path}\" can have unexpected results if the base image changes");
            findings.warn(&rule::WORKDIR_RELATIVE_PATH, detail, span);
        }
    }
}

impl StageRule for Relative {
    fn see(&mut self, seen: &Seen<'_>, findings: &mut Findings) {
        match seen {
            Seen::Stage {
                index,
                parent: Some(parent),
                ..
            } if self.set.contains(parent) => drop(self.set.insert(*index)),
            Seen::Instruction { stage, .. } => self.stage = *stage,
            Seen::Workdir { path, span } => self.go(path, *span, findings),
            _ => {}
        }
    }
}
