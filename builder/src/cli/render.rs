//! Diagnostics as text: file, line, excerpt, caret, causes and what to do.

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use super::failure::Failure;
use crate::diagnostic::{Diagnostic, Severity};
use crate::progress::{Tail, guard};

/// Renders everything a failure says.
pub(super) fn failure(failure: &Failure, colored: bool) -> String {
    let tail = failure.tail.as_ref().map(log_tail).unwrap_or_default();
    let messages: Vec<String> = failure.diagnostics.iter().map(|d| diagnostic(d, colored)).collect();
    format!("{}{}", guard(&tail), messages.join("\n"))
}

/// Renders one diagnostic, with a newline at its end.
pub(super) fn diagnostic(diagnostic: &Diagnostic, colored: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(printable(&diagnostic.message));
    let notes = diagnostic
        .notes
        .iter()
        .map(|note| Level::NOTE.no_name().message(printable(note)));
    let help = diagnostic.help.iter().map(|help| Level::HELP.message(printable(help)));
    let mut group = match &diagnostic.source {
        Some(source) if !diagnostic.labels.is_empty() => {
            let annotations = diagnostic.labels.iter().enumerate().map(|(at, label)| {
                let kind = if at == 0 {
                    AnnotationKind::Primary
                } else {
                    AnnotationKind::Context
                };
                let end = source.text().len();
                let range = label.span.range();
                let annotation = kind.span(range.start.min(end)..range.end.min(end));
                if label.text.is_empty() {
                    annotation
                } else {
                    annotation.label(printable(&label.text))
                }
            });
            title.element(
                Snippet::source(source.text())
                    .path(printable(source.name()))
                    .annotations(annotations),
            )
        }
        // Nothing in the file to point at: it is empty, or all of it is meant.
        Some(source) => title.element(Origin::path(printable(source.name()))),
        None => annotate_snippets::Group::with_title(title),
    };
    let url = diagnostic
        .url
        .iter()
        .map(|url| Level::NOTE.no_name().message(printable(&format!("see {url}"))));
    group = group.elements(notes).elements(help).elements(url);
    let renderer = if colored { Renderer::styled() } else { Renderer::plain() };
    guard(&renderer.render(&[group])) + "\n"
}

/// Renders the end of a failed step's log.
fn log_tail(tail: &Tail) -> String {
    let mut text = format!("------\n > {}:\n", printable(&tail.step));
    for line in &tail.lines {
        // A CI runner takes a line that begins with `::` for a command.
        text.push_str(" | ");
        text.push_str(line);
        text.push('\n');
    }
    text.push_str("------\n");
    if let Some(path) = &tail.path {
        text.push_str(&format!("full log: {}\n", printable(&path.display().to_string())));
    }
    text
}

/// Returns the text with control characters made visible, so that a name cannot steer the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let (plain, escaped) = if c.is_control() && c != '\n' {
                (None, Some(c.escape_default()))
            } else {
                (Some(c), None)
            };
            plain.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostic::{SourceFile, Span};

    #[test]
    fn an_error_shows_file_line_excerpt_caret_and_help() {
        let source = Arc::new(SourceFile::new("Dockerfile", "FROM scratch\nRUM make\n"));
        let text = diagnostic(
            &Diagnostic::error("unknown instruction: `RUM`")
                .in_file(&source)
                .at(Span::new(13, 16), "did you mean `RUN`?")
                .note("because: of a typing error")
                .help("see the Dockerfile reference"),
            false,
        );
        assert_eq!(
            text,
            "error: unknown instruction: `RUM`\n \
             --> Dockerfile:2:1\n  \
             |\n\
             2 | RUM make\n  \
             | ^^^ did you mean `RUN`?\n  \
             |\n  \
             = because: of a typing error\n  \
             = help: see the Dockerfile reference\n"
        );
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let text = diagnostic(&Diagnostic::error("not found: `\u{1b}]0;x\u{7}`"), false);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "{text:?}");
    }
}
