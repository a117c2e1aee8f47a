//! A logical line of an instruction, and the physical lines that it takes.

use std::iter::zip;

use super::{Arguments, parse};
use crate::dockerfile::{heredoc::Opener, instruction::Heredoc, lines::without_continuation};

/// Puts a line together.
pub(super) fn join(keyword: &str, arguments: &Arguments<'_>, escape: char) -> String {
    let mut line = keyword.to_owned();
    for flag in &arguments.flags {
        line.push(' ');
        line.push_str(&flag.text(escape));
    }
    if arguments.rest.starts_with("--") {
        line.push_str(" --");
    }
    if !arguments.rest.is_empty() {
        line.push(' ');
        line.push_str(&arguments.rest);
    }
    // White space that hides the escape character from the next line, and is trimmed.
    if without_continuation(&line, escape).1 {
        line.push('\u{b}');
    }
    line
}

/// Returns whether a line opens these heredocs and no others.
pub(super) fn opens(line: &str, heredocs: &[&Heredoc], escape: char) -> bool {
    parse::openers_of(line, escape).is_ok_and(|openers| {
        openers.len() == heredocs.len() && zip(&openers, heredocs).all(|(opener, heredoc)| is_of(opener, heredoc))
    })
}

fn is_of(opener: &Opener, heredoc: &Heredoc) -> bool {
    opener.name == heredoc.name
        && opener.expand == heredoc.expand
        && opener.chomp == heredoc.chomp
        && opener.fd == heredoc.fd
        && opener.written == heredoc.opener
}

/// Breaks a line into physical lines of at most `limit` bytes, which are joined again when they are read; gives nothing
/// if that cannot be.
pub(super) fn broken(line: &str, escape: char, limit: usize) -> Option<String> {
    let mut lines = String::new();
    let mut rest = line;
    while rest.len() > limit {
        let most = rest.floor_char_boundary(limit - escape.len_utf8());
        let at = (1..=most).rev().find(|at| may_break(rest, *at, escape))?;
        lines.push_str(&rest[..at]);
        lines.push(escape);
        lines.push('\n');
        rest = &rest[at..];
    }
    Some(lines + rest)
}

/// Two escape characters continue no line, and a line that is blank or starts with `#` is left out.
fn may_break(line: &str, at: usize, escape: char) -> bool {
    line.is_char_boundary(at)
        && !line[..at].ends_with(escape)
        && line[at..].trim_start().starts_with(|first| first != '#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_where_they_read_on() {
        let cases = [
            ("RUN abcdef", 6, Some("RUN a\\\nbcdef")),
            ("RUN a #b c", 7, Some("RUN \\\na #b c")),
            ("RUN a\\\\\\b", 7, Some("RUN a\\\n\\\\\\b")),
            ("RUN é", 6, Some("RUN é")),
            ("RUN éé", 6, Some("RUN \\\néé")),
            ("RUN      b", 7, Some("RUN   \\\n   b")),
            ("\\\\\\\\\\\\\\\\", 6, None),
            ("########", 6, None),
        ];
        for (line, limit, lines) in cases {
            assert_eq!(broken(line, '\\', limit).as_deref(), lines, "{line}");
        }
    }
}
