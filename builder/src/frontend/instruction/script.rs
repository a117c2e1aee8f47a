//! What a `RUN` hands to its shell, heredocs included. Bodies are never expanded: that is left to the shell.

use crate::dockerfile::{CommandForm, Heredoc};

/// What is to be run.
pub(super) struct Script {
    /// The arguments, or the line for the shell.
    pub(super) line: Line,
    /// Name and content of a file that must be there.
    pub(super) file: Option<(String, String)>,
    /// The first line of a heredoc that is the whole command.
    pub(super) summary: Option<String>,
}

/// What is run.
pub(super) enum Line {
    /// A program and its arguments.
    Exec(Vec<String>),
    /// A line for the shell.
    Shell(String),
}

/// Takes a command apart. A heredoc that is the whole command is a script: one with an interpreter of its own
/// becomes a file, any other is given to the shell as if it were the line. Every other heredoc is put together
/// again, tabs included, and left to the shell. `text` is what the heredocs' spans point into.
pub(super) fn of(command: &CommandForm, text: &str) -> Script {
    let (line, heredocs) = match command {
        CommandForm::Exec(args) => return plain(Line::Exec(args.clone())),
        CommandForm::Shell { line, heredocs } => (line.as_str(), &heredocs[..]),
    };
    match heredocs {
        [] => plain(Line::Shell(line.to_owned())),
        [only] if is_whole(line, only) => {
            let summary = Some(summary(&only.body));
            if only.body.starts_with("#!") {
                return Script {
                    line: Line::Shell(format!("/dev/pipes/{}", only.name)),
                    file: Some((only.name.clone(), only.body.clone())),
                    summary,
                };
            }
            Script {
                line: Line::Shell(only.body.clone()),
                file: None,
                summary,
            }
        }
        several => {
            let raw = |heredoc: &Heredoc| text.get(heredoc.span.range()).unwrap_or(&heredoc.body).to_owned();
            let bodies = several
                .iter()
                .map(|heredoc| format!("\n{}{}", raw(heredoc), heredoc.name));
            plain(Line::Shell(std::iter::once(line.to_owned()).chain(bodies).collect()))
        }
    }
}

fn plain(line: Line) -> Script {
    Script {
        line,
        file: None,
        summary: None,
    }
}

/// Tells whether a line is nothing but the word that opens the heredoc, a file descriptor apart.
fn is_whole(line: &str, heredoc: &Heredoc) -> bool {
    let before = line.trim().strip_suffix(heredoc.opener.as_str());
    before.is_some_and(|before| before.bytes().all(|c| c.is_ascii_digit()))
}

fn summary(body: &str) -> String {
    let mut lines = body.trim().lines();
    let first = lines.next().unwrap_or_default();
    let more = if lines.next().is_some() { "..." } else { "" };
    format!("{first}{more}")
}
