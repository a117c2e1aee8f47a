//! Places in a Dockerfile as BuildKit's JSON has them: a range for each line.

use serde::Serialize;

use crate::diagnostic::{SourceFile, Span};

/// The lines of an instruction in the only source there is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Location {
    ranges: Vec<Range>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Range {
    start: Position,
    end: Position,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Position {
    /// Counted from 1.
    line: usize,
}

impl Location {
    /// Returns the lines that a span touches.
    pub fn of(source: &SourceFile, span: Span) -> Self {
        let (first, last) = source.lines(span);
        let range = |line| Range {
            start: Position { line },
            end: Position { line },
        };
        Self {
            ranges: (first..=last).map(range).collect(),
        }
    }

    /// Returns the first line, counted from 1.
    pub fn line(&self) -> usize {
        self.ranges.first().map_or(0, |range| range.start.line)
    }
}
