//! Text put together from pieces of a source file that knows for each byte where it was written.
//!
//! A logical line is several physical lines without their continuation characters, and a flag is a word without
//! its quotes; messages must still point into the file.

use std::ops::Range;

use crate::diagnostic::{Span, Spanned};

/// Text with the way back to its source.
#[derive(Clone, Debug, Default)]
pub(super) struct Mapped {
    text: String,
    pieces: Vec<Piece>,
}

/// From byte `at` of the text on, bytes come from `source` on, up to the next piece.
#[derive(Clone, Copy, Debug)]
struct Piece {
    at: usize,
    source: usize,
}

impl Mapped {
    /// Appends text that stands at a byte of the source.
    pub(super) fn push(&mut self, text: &str, source: usize) {
        if text.is_empty() {
            return;
        }
        let at = self.text.len();
        let continues = self
            .pieces
            .last()
            .is_some_and(|piece| piece.source + (at - piece.at) == source);
        if !continues {
            self.pieces.push(Piece { at, source });
        }
        self.text.push_str(text);
    }

    /// Returns the text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns all of it as a part.
    pub(super) fn whole(&self) -> Part<'_> {
        Part {
            mapped: self,
            start: 0,
            end: self.text.len(),
        }
    }

    fn source_of(&self, at: usize) -> usize {
        let piece = self.pieces.partition_point(|piece| piece.at <= at);
        match self.pieces.get(piece.saturating_sub(1)) {
            Some(piece) => piece.source + (at - piece.at),
            None => 0,
        }
    }
}

/// A range of mapped text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    mapped: &'a Mapped,
    start: usize,
    end: usize,
}

impl<'a> Part<'a> {
    /// Returns the text.
    pub(super) fn text(self) -> &'a str {
        &self.mapped.text[self.start..self.end]
    }

    /// Returns whether there is no text.
    pub(super) fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Returns where the text stands, from its first to its last byte.
    pub(super) fn span(self) -> Span {
        let start = self.mapped.source_of(self.start);
        if self.is_empty() {
            return Span::new(start, start);
        }
        Span::new(start, self.mapped.source_of(self.end - 1) + 1)
    }

    /// Returns the text with its place.
    pub(super) fn spanned(self) -> Spanned<String> {
        Spanned::new(self.text().to_owned(), self.span())
    }

    /// Returns a part of this part; the range counts from this part's first byte.
    pub(super) fn slice(self, range: Range<usize>) -> Part<'a> {
        debug_assert!(range.start <= range.end && self.start + range.end <= self.end);
        Part {
            mapped: self.mapped,
            start: self.start + range.start,
            end: self.start + range.end,
        }
    }

    /// Returns what follows the first `bytes`.
    pub(super) fn from(self, bytes: usize) -> Part<'a> {
        self.slice(bytes..self.end - self.start)
    }

    /// Returns the source position of a byte of this part.
    pub(super) fn source_of(self, at: usize) -> usize {
        self.mapped.source_of(self.start + at)
    }

    /// Returns the part without white space around it.
    pub(super) fn trim(self) -> Part<'a> {
        let text = self.text();
        let start = text.len() - text.trim_start().len();
        self.slice(start..start + text.trim().len())
    }

    /// Returns the parts before and after the first `separator`.
    pub(super) fn split_once(self, separator: char) -> Option<(Part<'a>, Part<'a>)> {
        let at = self.text().find(separator)?;
        Some((self.slice(0..at), self.from(at + separator.len_utf8())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_joined_lines_point_back_at_each_line() {
        let source = "RUN a \\\n  b";
        let mut line = Mapped::default();
        line.push("RUN a ", 0);
        line.push("  b", 8);
        assert_eq!(line.text(), "RUN a   b");
        let rest = line.whole().from(4);
        assert_eq!(rest.span(), Span::new(4, source.len()));
        let b = rest.slice(4..5);
        assert_eq!((b.text(), b.span()), ("b", Span::new(10, 11)));
        assert_eq!(&source[b.span().range()], "b");
    }

    #[test]
    fn an_empty_part_has_an_empty_span_where_it_would_be() {
        let mut line = Mapped::default();
        line.push("ENV", 7);
        assert_eq!(line.whole().from(3).span(), Span::new(10, 10));
        assert_eq!(Mapped::default().whole().span(), Span::new(0, 0));
    }
}
