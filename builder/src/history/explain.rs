//! Why each step of a build hit or missed, as text.

use std::fmt::Write as _;

use super::{BuildRecord, Outcome, StepResult, line, seconds};
use crate::cache::tell_some;

/// Returns a line for each step, and below those that were not in the cache the reason.
pub fn explain(build: &BuildRecord) -> String {
    let mut text = String::new();
    let outcome = match &build.outcome {
        Outcome::Succeeded => "succeeded".to_owned(),
        Outcome::Failed { error } => format!("failed ({})", line(error)),
        Outcome::Cancelled => "was cancelled".to_owned(),
    };
    let _infallible = writeln!(
        text,
        "build {} of `{}` at {} {outcome} after {}: {} from the cache, {} run",
        build.id,
        line(&build.dockerfile),
        build.started,
        seconds(build.took_ms),
        build.count(StepResult::Hit),
        build.count(StepResult::Ran) + build.count(StepResult::Failed),
    );
    for step in &build.steps {
        let took = step.took_ms.map(|ms| format!("  {}", seconds(ms))).unwrap_or_default();
        let _infallible = writeln!(text, "{:<11} {}{took}", step.result.word(), line(&step.name));
        if let Some(reason) = &step.reason {
            let changes = match tell_some(&step.changes, step.more_changes) {
                changes if changes.is_empty() => changes,
                changes => format!(": {changes}"),
            };
            let _infallible = writeln!(text, "{:<11} because {}{changes}", "", line(reason));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miss_is_told_with_its_reason_and_its_files() {
        let text = explain(&super::super::tests::example());
        let expected = "\
build 12-ab-0 of `Dockerfile` at 2026-01-02T03:04:05Z succeeded after 3.2s: 1 from the cache, 1 run
source      FROM busybox
source      [internal] load build context
hit         [build 2/3] RUN <make> \"all\" | cat
ran         [build 3/3] COPY . /src  1.2s
            because files that it reads from `context` have changed: src/ [1m\"main\".rs has changed
unneeded    [other 2/2] RUN x
";
        assert_eq!(text, expected);
    }
}
