//! Stages that take files from each other in a circle.

use super::{ParsedStage, StageTable};
use crate::diagnostic::{Diagnostic, Span};
use crate::frontend::source::Source;

/// Returns an error for a circle, if there is one; every `--from` in it is marked.
pub(super) fn find(table: &StageTable<'_>) -> Option<Diagnostic> {
    let mut search = Search {
        stages: &table.stages,
        seen: vec![false; table.stages.len()],
        path: Vec::new(),
    };
    (0..table.stages.len()).find_map(|start| {
        let spans = search.visit(start)?;
        let message = format!("circular dependency detected on stage: {}", table.stages[start].label);
        let circle = spans
            .into_iter()
            .fold(Diagnostic::error(message), |error, (stage, span)| {
                error.at(span, format!("`{}` needs this", table.stages[stage].label))
            });
        Some(circle)
    })
}

/// A depth-first search: the stages that have been seen, and the way to where it is.
struct Search<'t, 'a> {
    stages: &'t [ParsedStage<'a>],
    seen: Vec<bool>,
    path: Vec<usize>,
}

impl Search<'_, '_> {
    /// Returns the stages and names from `stage` on that lead back to where the search has been.
    fn visit(&mut self, stage: usize) -> Option<Vec<(usize, Span)>> {
        if std::mem::replace(&mut self.seen[stage], true) {
            return None;
        }
        self.path.push(stage);
        for named in self.stages[stage]
            .steps
            .iter()
            .flat_map(|step| step.sources.iter().flatten())
        {
            let Source::Stage(next) = named.source else { continue };
            if self.path.contains(&next) {
                return Some(vec![(stage, named.name.span)]);
            }
            if let Some(mut rest) = self.visit(next) {
                rest.insert(0, (stage, named.name.span));
                return Some(rest);
            }
        }
        self.path.pop();
        None
    }
}
