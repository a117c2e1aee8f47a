//! A source file: its name, its text, and the way from byte to line and column.

use super::Span;

/// The text of a Dockerfile or ignore file under the name that the user knows it by.
#[derive(PartialEq, Eq, Debug)]
pub struct SourceFile {
    name: String,
    text: String,
    line_starts: Vec<u32>,
}

impl SourceFile {
    /// Makes a source file; `name` is what messages call it.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let starts = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at as u32 + 1);
        let line_starts = std::iter::once(0).chain(starts).collect();
        Self {
            name: name.into(),
            text,
            line_starts,
        }
    }

    /// Returns the name for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the 1-based line in which a byte lies.
    pub fn line_of(&self, byte: u32) -> usize {
        self.line_starts.partition_point(|start| *start <= byte)
    }

    /// Returns the 1-based line and the 1-based column, in characters, of a byte.
    pub fn position(&self, byte: u32) -> (usize, usize) {
        let line = self.line_of(byte);
        let start = self.line_starts[line - 1] as usize;
        let column = self
            .text
            .get(start..byte as usize)
            .map_or(0, |text| text.chars().count());
        (line, column + 1)
    }

    /// Returns the 1-based first and last lines that a span touches.
    pub fn lines(&self, span: Span) -> (usize, usize) {
        (self.line_of(span.start), self.line_of(span.end.max(span.start + 1) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_again_as_lines_and_columns() {
        let file = SourceFile::new("Dockerfile", "FROM a\nRÜN b\n\nX");
        assert_eq!(file.position(0), (1, 1));
        assert_eq!(file.position(6), (1, 7));
        assert_eq!(file.position(7), (2, 1));
        assert_eq!(file.position(10), (2, 3));
        assert_eq!(file.position(14), (3, 1));
        assert_eq!(file.position(15), (4, 1));
        assert_eq!(file.lines(Span::new(0, 7)), (1, 1));
        assert_eq!(file.lines(Span::new(0, 8)), (1, 2));
    }
}
