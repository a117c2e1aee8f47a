//! Physical lines to logical ones: comments and directives taken out, continued lines joined.

use super::{directive::Directives, mapped::Mapped};
use crate::diagnostic::{Diagnostic, Span};

/// Bytes that a physical line may have without its line break, as in BuildKit.
pub(super) const LINE_LIMIT: usize = 65_535;

/// A line as it stands in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct PhysicalLine<'a> {
    /// The text without its line break.
    pub(super) text: &'a str,
    /// Position of the first byte.
    pub(super) start: usize,
    /// Position after the line break.
    pub(super) next: usize,
}

/// An instruction on one line, however many it was written on.
#[derive(Debug)]
pub(super) struct LogicalLine {
    /// The text, without continuation characters.
    pub(super) text: Mapped,
    /// From the first character to the end of the last physical line.
    pub(super) span: Span,
    /// Comments above, without `#`.
    pub(super) comments: Vec<String>,
    /// Empty lines between the physical lines.
    pub(super) empty_lines: Vec<Span>,
}

/// Reads a Dockerfile line by line.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    source: &'a str,
    at: usize,
    /// What the first lines said.
    pub(super) directives: Directives,
    /// What was wrong with lines as such.
    pub(super) errors: Vec<Diagnostic>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        let at = if source.starts_with('\u{feff}') {
            '\u{feff}'.len_utf8()
        } else {
            0
        };
        Self {
            source,
            at,
            directives: Directives::default(),
            errors: Vec::new(),
        }
    }

    /// Returns the next line as it stands.
    pub(super) fn next_physical(&mut self) -> Option<PhysicalLine<'a>> {
        let rest = &self.source[self.at..];
        if rest.is_empty() {
            return None;
        }
        let length = rest.find('\n').map_or(rest.len(), |at| at + 1);
        let line = PhysicalLine {
            text: rest[..length].trim_end_matches(['\r', '\n']),
            start: self.at,
            next: self.at + length,
        };
        if rest[..length].trim_end_matches('\n').len() > LINE_LIMIT {
            self.errors.push(
                Diagnostic::error(format!("dockerfile line greater than max allowed size of {LINE_LIMIT}"))
                    .at(Span::new(line.start, line.start + 1), "this line"),
            );
        }
        self.at = line.next;
        Some(line)
    }

    /// Returns the position after the text of the last line that was read.
    pub(super) fn end_of_last(&self) -> usize {
        self.source[..self.at].trim_end_matches(['\r', '\n']).len()
    }

    /// Returns the next instruction, with the comments above it.
    pub(super) fn next_logical(&mut self) -> Option<LogicalLine> {
        let mut comments = Vec::new();
        loop {
            let line = self.next_physical()?;
            let text = line.text.trim_start();
            let start = line.start + line.text.len() - text.len();
            let is_directive = match self.directives.take(text, start) {
                Ok(is_directive) => is_directive,
                Err(error) => {
                    self.errors.push(error);
                    continue;
                }
            };
            if let Some(comment) = text.strip_prefix('#') {
                match comment.trim() {
                    // An empty comment separates what is above from what is below.
                    "" => comments.clear(),
                    comment if !is_directive => comments.push(comment.to_owned()),
                    _ => {}
                }
            } else if !text.is_empty() {
                return Some(self.join(text, start, line.next, comments));
            }
        }
    }

    fn join(&mut self, first: &str, start: usize, next: usize, comments: Vec<String>) -> LogicalLine {
        let escape = self.directives.escape;
        let mut text = Mapped::default();
        let mut empty_lines = Vec::new();
        let mut end = start + first.len();
        let (piece, mut continues) = without_continuation(first, escape);
        text.push(piece, start);
        let mut last_next = next;
        while continues {
            let Some(line) = self.next_physical() else { break };
            end = line.start + line.text.len();
            last_next = line.next;
            let shown = line.text.trim_start();
            if shown.starts_with('#') {
                continue;
            }
            if shown.is_empty() {
                empty_lines.push(Span::new(line.start, line.next));
                continue;
            }
            let (piece, more) = without_continuation(line.text, escape);
            text.push(piece, line.start);
            continues = more;
        }
        // An empty last line has no byte but its line break to say that the instruction reaches it.
        if self.source[..end].ends_with('\n') {
            end = last_next;
        }
        LogicalLine {
            text,
            span: Span::new(start, end),
            comments,
            empty_lines,
        }
    }
}

/// Cuts off a continuation character with the blanks after it, and says whether there was one.
///
/// Two escape characters in a row are none: the first one escapes the second.
pub(super) fn without_continuation(line: &str, escape: char) -> (&str, bool) {
    let Some(before) = line.trim_end_matches([' ', '\t']).strip_suffix(escape) else {
        return (line, false);
    };
    if before.ends_with(escape) {
        (line, false)
    } else {
        (before, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logical(source: &str) -> Vec<(String, &str)> {
        let mut lines = Lines::new(source);
        let mut all = Vec::new();
        while let Some(line) = lines.next_logical() {
            all.push((line.text.text().to_owned(), &source[line.span.range()]));
        }
        assert_eq!(lines.errors, []);
        all
    }

    #[test]
    fn continued_lines_are_joined_with_nothing_between() {
        assert_eq!(logical("  hel\\\nlo\n"), [("hello".to_owned(), "hel\\\nlo")]);
        assert_eq!(
            logical("a \\ \t\n  b\r\nc"),
            [("a   b".to_owned(), "a \\ \t\n  b"), ("c".to_owned(), "c")]
        );
        assert_eq!(logical("RUN x \\"), [("RUN x ".to_owned(), "RUN x \\")]);
        assert_eq!(logical("\\\nRUN x"), [("RUN x".to_owned(), "\\\nRUN x")]);
    }

    #[test]
    fn an_escaped_escape_character_does_not_continue_a_line() {
        assert_eq!(
            logical("a c:\\\\\nb"),
            [("a c:\\\\".to_owned(), "a c:\\\\"), ("b".to_owned(), "b")]
        );
        assert_eq!(
            logical("# escape=`\na \\\nb `\nc"),
            [("a \\".to_owned(), "a \\"), ("b c".to_owned(), "b `\nc")]
        );
    }

    #[test]
    fn comments_and_empty_lines_inside_an_instruction_are_dropped() {
        let source = "# doc\n\n#\n# kept\nRUN a \\\n # no\n\n b # yes\n";
        let mut lines = Lines::new(source);
        let line = lines.next_logical().unwrap();
        assert_eq!(line.text.text(), "RUN a  b # yes");
        assert_eq!(line.comments, ["kept"]);
        let empty = source.find(" b #").unwrap() - 1;
        assert_eq!(line.empty_lines, [Span::new(empty, empty + 1)]);
    }

    #[test]
    fn an_instruction_reaches_to_the_last_line_that_it_swallowed() {
        assert_eq!(logical("RUN a \\\n# c\n"), [("RUN a ".to_owned(), "RUN a \\\n# c")]);
        assert_eq!(logical("RUN a \\\n\n"), [("RUN a ".to_owned(), "RUN a \\\n\n")]);
    }

    #[test]
    fn a_line_longer_than_buildkit_allows_is_an_error() {
        for (length, errors) in [(LINE_LIMIT, 0), (LINE_LIMIT + 1, 1)] {
            let source = format!("{}\n", "a".repeat(length));
            let mut lines = Lines::new(&source);
            lines.next_logical().unwrap();
            assert_eq!(lines.errors.len(), errors);
        }
    }
}
