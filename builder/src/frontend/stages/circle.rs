//! Stages that take files from each other in a circle.

use super::{ParsedStage, StageTable};
use crate::diagnostic::{Diagnostic, Span};
use crate::frontend::source::Source;

/// Returns an error for a circle, if there is one; every `--from` in it is marked.
pub(super) fn find(table: &StageTable<'_>) -> Option<Diagnostic> {
    let mut marks = vec![Mark::New; table.stages.len()];
    (0..table.stages.len()).find_map(|start| {
        let needs = search(&table.stages, start, &mut marks)?;
        let message = format!("circular dependency detected on stage: {}", table.stages[start].label);
        let circle = needs.into_iter().fold(Diagnostic::error(message), |error, need| {
            error.at(need.span, format!("`{}` needs this", table.stages[need.stage].label))
        });
        Some(circle)
    })
}

/// What the search knows of a stage.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    /// On the way from the start to where the search is.
    OnTheWay,
    /// No circle can be reached from it.
    Done,
}

/// That a stage takes files from another.
#[derive(Clone, Copy)]
struct Need {
    stage: usize,
    from: usize,
    span: Span,
}

/// Searches depth first; returns the needs from `start` on that lead back to where the search has been.
///
/// It keeps its own stack: a file may have more stages than a thread's stack has room for.
fn search(stages: &[ParsedStage<'_>], start: usize, marks: &mut [Mark]) -> Option<Vec<Need>> {
    if marks[start] != Mark::New {
        return None;
    }
    marks[start] = Mark::OnTheWay;
    let mut way = vec![(needs(stages, start), None)];
    while let Some((left, _)) = way.last_mut() {
        match left.next() {
            Some(need) if marks[need.from] == Mark::OnTheWay => {
                let taken = way.iter().filter_map(|(_, need)| *need);
                return Some(taken.chain([need]).collect());
            }
            Some(need) if marks[need.from] == Mark::New => {
                marks[need.from] = Mark::OnTheWay;
                way.push((needs(stages, need.from), Some(need)));
            }
            Some(_) => {}
            None => {
                let ended = way.pop().and_then(|(_, need)| need);
                marks[ended.map_or(start, |need| need.from)] = Mark::Done;
            }
        }
    }
    None
}

/// Returns what a stage takes from other stages, in the order of its steps.
fn needs<'s>(stages: &'s [ParsedStage<'_>], stage: usize) -> impl Iterator<Item = Need> + use<'s> {
    let sources = stages[stage]
        .steps
        .iter()
        .flat_map(|step| step.sources.iter().flatten());
    sources.filter_map(move |named| match named.source {
        Source::Stage(from) => Some(Need {
            stage,
            from,
            span: named.name.span,
        }),
        _ => None,
    })
}
