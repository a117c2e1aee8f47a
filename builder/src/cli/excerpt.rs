//! Lines of a Dockerfile around an instruction, as BuildKit prints them: `>>>` marks the instruction's own.

use crate::diagnostic::{SourceFile, Span};

/// Lines shown around an instruction of one line, and around a longer one.
const AROUND: (usize, usize) = (4, 2);

/// Renders the lines around a span.
pub(super) fn excerpt(source: &SourceFile, span: Span) -> String {
    const RULE: &str = "--------------------\n";
    let lines: Vec<&str> = source.text().split('\n').collect();
    let (first, last) = source.lines(span);
    let padding = if first == last { AROUND.0 } else { AROUND.1 };
    let (mut start, mut end, mut shown) = (first, last.min(lines.len()), 0);
    // Every round counts once for itself, as in BuildKit, so that a file of one line ends the search too.
    while shown < padding {
        if start > 1 {
            start -= 1;
            shown += 1;
        }
        if end != lines.len() {
            end += 1;
            shown += 1;
        }
        shown += 1;
    }
    let mut text = format!("{}:{first}\n{RULE}", source.name());
    for number in start..=end {
        let mark = if (first..=last).contains(&number) { ">>>" } else { "   " };
        let line = lines[number - 1].trim_end_matches('\r');
        text.push_str(&format!(" {number:3} | {mark} {line}\n"));
    }
    text.push_str(RULE);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_is_marked_among_its_neighbours() {
        let source = SourceFile::new("Dockerfile", "FROM a\nRUN b\nRUN c\nRUN d\nRUN e\n");
        assert_eq!(
            excerpt(&source, Span::new(13, 18)),
            "Dockerfile:3\n--------------------\n   1 |     FROM a\n   2 |     RUN b\n   3 | >>> RUN c\n   4 |     \
             RUN d\n   5 |     RUN e\n--------------------\n"
        );
    }
}
