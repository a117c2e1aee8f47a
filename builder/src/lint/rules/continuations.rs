//! `NoEmptyContinuation`: empty lines inside an instruction.

use crate::diagnostic::Span;
use crate::lint::file::File;
use crate::lint::findings::Findings;
use crate::lint::rule;

/// Warns once of each instruction. BuildKit gives the line where the instruction ends; the caret is at the first
/// empty line.
pub(super) fn empty(file: &File<'_>, findings: &mut Findings) {
    for statement in file.statements() {
        let span = statement.span();
        let inside = |line: &&Span| span.start <= line.start && line.start < span.end;
        let Some(first) = file.dockerfile.empty_continuations.iter().find(inside) else {
            continue;
        };
        let last_line = file.text(span).trim_end().rfind('\n').map_or(0, |at| at + 1);
        let last_line = Span {
            start: span.start + last_line as u32,
            end: span.end,
        };
        findings.go_to(last_line, statement.comments());
        let detail = "Empty continuation line".to_owned();
        findings.warn(&rule::NO_EMPTY_CONTINUATION, detail, *first);
    }
}
