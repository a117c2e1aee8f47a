//! The commands of GitHub's runner: groups, and annotations, which it shows beside the lines of a pull request.
//!
//! The runner takes a line for a command if it is `::name key=value,…::text` after white space, or `##[name]text`
//! anywhere (`ActionCommand.TryParseV2` and `TryParse`). Between `::stop-commands::TOKEN` and `::TOKEN::` it takes none.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::clean::clean;
use crate::diagnostic::{Diagnostic, Severity};

/// Where the files that messages speak of are in the repository, by the names that messages have for them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Files(BTreeMap<String, String>);

impl FromIterator<(String, String)> for Files {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(names: T) -> Self {
        Self(names.into_iter().collect())
    }
}

/// Begins a group in which the runner obeys nobody but who knows the mark.
pub(super) fn open(out: &mut dyn Write, title: &str, mark: &str) -> io::Result<()> {
    writeln!(out, "::group::{}\n::stop-commands::{mark}", text(title))
}

/// Ends the group with this mark.
pub(super) fn close(out: &mut dyn Write, mark: &str) -> io::Result<()> {
    writeln!(out, "::{mark}::\n::endgroup::")
}

/// Returns the line that annotates the place of which a diagnostic speaks: all that it says but the excerpt.
pub fn annotation(diagnostic: &Diagnostic, files: &Files) -> String {
    let command = match diagnostic.severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let mut properties = Vec::new();
    if let Some(source) = &diagnostic.source
        && let Some(path) = files.0.get(source.name())
    {
        properties.push(format!("file={}", property(path)));
        if let Some(label) = diagnostic.labels.first() {
            let (first, last) = source.lines(label.span);
            properties.push(format!("line={first},endLine={last}"));
        }
    }
    let (rule, message) = diagnostic.rule();
    properties.extend(rule.map(|rule| format!("title={}", property(rule))));
    let labels = diagnostic.labels.iter().map(|label| label.text.as_str());
    let mut lines: Vec<String> = std::iter::once(message)
        .chain(labels.filter(|text| !text.is_empty()))
        .chain(diagnostic.notes.iter().map(String::as_str))
        .map(str::to_owned)
        .collect();
    lines.extend(diagnostic.help.iter().map(|help| format!("help: {help}")));
    lines.extend(diagnostic.url.iter().map(|url| format!("see {url}")));
    let space = if properties.is_empty() { "" } else { " " };
    format!(
        "::{command}{space}{}::{}",
        properties.join(","),
        text(&lines.join("\n"))
    )
}

/// Escapes what follows a command: one line of many, each without anything that steers a terminal.
fn text(raw: &str) -> String {
    let lines: Vec<String> = raw
        .lines()
        .map(|line| clean(line.as_bytes()).replace('%', "%25"))
        .collect();
    lines.join("%0A")
}

/// Escapes the value of a property.
fn property(raw: &str) -> String {
    text(raw).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostic::{SourceFile, Span};

    fn files() -> Files {
        [("Dockerfile".to_owned(), "app: a,b/Dockerfile".to_owned())]
            .into_iter()
            .collect()
    }

    #[test]
    fn an_annotation_says_where_and_what_in_one_line() {
        let source = Arc::new(SourceFile::new("Dockerfile", "FROM a AS X\nRUN b \\\n c\n"));
        let warning = Diagnostic::warning("StageNameCasing: Stage name 'X' is 100% upper (line 1)")
            .of_rule()
            .in_file(&source)
            .at(Span::new(12, 21), "")
            .note("Stage names should be lowercase")
            .help("write `x`")
            .more_at("https://example.com/rule");
        assert_eq!(
            annotation(&warning, &files()),
            "::warning file=app%3A a%2Cb/Dockerfile,line=2,endLine=3,title=StageNameCasing::Stage name 'X' is 100%25 \
             upper (line 1)%0AStage names should be lowercase%0Ahelp: write `x`%0Asee https://example.com/rule"
        );
    }

    #[test]
    fn what_is_in_no_file_of_the_repository_is_told_without_a_place() {
        let elsewhere = Arc::new(SourceFile::new("https://example.com/Dockerfile", "FROM a\n"));
        let error = Diagnostic::error("no").in_file(&elsewhere).at(Span::new(0, 4), "here");
        assert_eq!(annotation(&error, &files()), "::error::no%0Ahere");
    }

    #[test]
    fn nothing_in_a_message_ends_it_or_steers_a_terminal() {
        let error = Diagnostic::error("a\r\n::error::b\u{1b}[2J%0Ac").note("##[error]d\u{85}e");
        assert_eq!(
            annotation(&error, &files()),
            "::error::a%0A::error::b%250Ac%0A# #[error]de"
        );
    }
}
