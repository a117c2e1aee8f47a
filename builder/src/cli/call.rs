//! `--call` and `--check`: questions about a Dockerfile, answered as BuildKit does, in text or JSON.

use std::path::Path;
use std::process::ExitCode;

use base64::Engine as _;
use registry::client::Client;
use serde::Serialize;
use serde_json::{Value, json};

use super::args::{BuildArgs, Format, GlobalArgs};
use super::build::{fetching, print};
use super::build_failure::{self, Fixed};
use super::environment::Environment;
use super::excerpt::excerpt;
use super::failure::{Failure, Kind};
use super::locate::{self, Located};
use super::request::ReadOnce;
use super::sandbox::{self, Say};
use super::signals::Signals;
use super::values::ValueError;
use super::{block_on, policy, request, runner};
use crate::build::{self, Checked, Services};
use crate::describe::{Location, Needed, Outline, Targets};
use crate::diagnostic::{Diagnostic, did_you_mean};

/// A question and the form of its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Question {
    about: About,
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum About {
    Check,
    Outline,
    Targets,
}

const NAMES: [(&str, Option<About>); 5] = [
    ("build", None),
    ("check", Some(About::Check)),
    ("lint", Some(About::Check)),
    ("outline", Some(About::Outline)),
    ("targets", Some(About::Targets)),
];

/// Reads `--call` and `--check`; `None` for an ordinary build.
pub(super) fn question(args: &BuildArgs) -> Result<Option<Question>, Failure> {
    let text = if args.check { "check" } else { &args.call };
    parse(text).map_err(|problem| {
        let error = ValueError::new("--call", text, problem);
        Failure::because(Kind::Usage, &error)
    })
}

fn parse(text: &str) -> Result<Option<Question>, String> {
    let (name, options) = text
        .split_once(',')
        .map_or((text, None), |(name, rest)| (name, Some(rest)));
    let Some((_, about)) = NAMES.iter().find(|(known, _)| *known == name) else {
        let suggestion = did_you_mean(name, NAMES.iter().map(|(name, _)| *name));
        return Err(format!("expected `build`, `check`, `outline` or `targets`{suggestion}"));
    };
    let format = match options {
        None | Some("format=text") => Format::Text,
        Some("format=json") => Format::Json,
        Some(_) => return Err("expected `format=text` or `format=json` after the comma".to_owned()),
    };
    Ok(about.map(|about| Question { about, format }))
}

/// Answers a question.
pub(super) fn run(
    question: Question,
    args: &BuildArgs,
    global: &GlobalArgs,
    root: &Path,
    environment: &Environment,
) -> Result<ExitCode, Failure> {
    let read = ReadOnce::new(args, environment)?;
    let located = located(args, global, root, environment, &read)?;
    let request = request::build_request(args, environment, located, &read)?;
    let fixed = Fixed::of(&request, None);
    let failure = |error| fixed.failure(error, None);
    match question.about {
        About::Check => {
            let client = Client::new(request::client_options(args, environment)?);
            let checked = block_on(async { build::check(request, client, root).await.map_err(failure) })?;
            if question.format == Format::Text {
                let warnings = checked.report.warnings.iter();
                let warnings: Vec<Diagnostic> = warnings.map(|w| w.diagnostic(&checked.report.source)).collect();
                runner::annotate(runner::of(args, environment).as_ref(), &warnings);
            }
            report(checked, question.format, &fixed)
        }
        About::Outline => {
            let outline = build::outline(&request).map_err(failure)?;
            answer(question.format, &outline, outline_text(&outline))
        }
        About::Targets => {
            let targets = build::targets(&request).map_err(failure)?;
            answer(question.format, &targets, targets_text(&targets))
        }
    }
}

/// Finds the context and the Dockerfile. Only what must be fetched needs the state directory, and the sandbox to unpack
/// it in.
fn located(
    args: &BuildArgs,
    global: &GlobalArgs,
    root: &Path,
    environment: &Environment,
    read: &ReadOnce,
) -> Result<Located, Failure> {
    let place = policy::governed(locate::place(args)?, &read.policy)?;
    if let Some(located) = locate::at_hand(args, &place)? {
        return Ok(located);
    }
    let (sandbox, _) = sandbox::enter_for_build(args.sandbox.rung(), root, environment, Say::of_store(global))?;
    let options = request::client_options(args, environment)?;
    let services =
        Services::open(root, options, sandbox, &super::store::tell_of_sweep).map_err(build_failure::unread)?;
    let fetcher = services.fetcher(&read.secrets, &request::fetching(args, environment)?);
    let build_args = request::build_args(args, environment)?;
    block_on(async {
        let mut signals = Signals::listen()?;
        fetching(args, &build_args, &place, &services, &fetcher, &mut signals).await
    })
}

fn answer(format: Format, value: &impl Serialize, text: String) -> Result<ExitCode, Failure> {
    match format {
        Format::Text => print(&text)?,
        Format::Json => print_json(value)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::because(Kind::Bug, &error))?;
    print(&format!("{text}\n"))
}

/// Prints warnings; errors are for the caller to print, like those of every command.
fn report(checked: Checked, format: Format, fixed: &Fixed) -> Result<ExitCode, Failure> {
    let Checked { report, errors } = checked;
    let has_warnings = !report.warnings.is_empty();
    let mut failure: Option<Failure> = None;
    for error in errors {
        let next = fixed.failure(error, None);
        match &mut failure {
            None => failure = Some(next),
            Some(failure) => failure.diagnostics.extend(next.diagnostics),
        }
    }
    match format {
        Format::Json => print_json(&check_json(&report, failure.as_ref()))?,
        Format::Text if has_warnings => print(&check_text(&report))?,
        Format::Text if failure.is_none() => print("Check complete, no warnings found.\n")?,
        Format::Text => {}
    }
    match failure {
        Some(failure) => Err(failure),
        None if has_warnings => Ok(Kind::Check.into()),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn check_text(report: &crate::lint::Report) -> String {
    let count = match report.warnings.len() {
        1 => "1 warning has".to_owned(),
        count => format!("{count} warnings have"),
    };
    let mut text = format!("Check complete, {count} been found!\n");
    for warning in &report.warnings {
        let url = warning.rule.url().map_or(String::new(), |url| format!(" - {url}"));
        text.push_str(&format!("\nWARNING: {}{url}\n{}\n", warning.rule.name, warning.detail));
        text.push_str(&excerpt(&report.source, warning.instruction));
    }
    text
}

fn check_json(report: &crate::lint::Report, failure: Option<&Failure>) -> Value {
    let warnings: Vec<Value> = report
        .warnings
        .iter()
        .map(|warning| {
            let mut fields = json!({
                "ruleName": warning.rule.name,
                "description": warning.rule.description,
            });
            if let Some(url) = warning.rule.url() {
                fields["url"] = json!(url);
            }
            fields["detail"] = json!(warning.detail);
            fields["location"] = json!(Location::of(&report.source, warning.instruction));
            fields
        })
        .collect();
    let mut answer = json!({
        "warnings": warnings,
        "sources": [{
            "filename": report.source.name(),
            "data": base64::engine::general_purpose::STANDARD.encode(report.source.text()),
            "language": "Dockerfile",
        }],
    });
    if let Some(first) = failure.and_then(|failure| failure.diagnostics.first()) {
        answer["buildError"] = json!({ "message": first.message, "location": location(first) });
    }
    answer
}

fn location(diagnostic: &Diagnostic) -> Value {
    match (&diagnostic.source, diagnostic.labels.first()) {
        (Some(source), Some(label)) => json!(Location::of(source, label.span)),
        _ => json!({}),
    }
}

fn outline_text(outline: &Outline) -> String {
    let mut text = String::new();
    if !outline.name.is_empty() || outline.description.is_some() {
        let name = if outline.name.is_empty() {
            "(default)"
        } else {
            &outline.name
        };
        let mut rows = vec![vec!["TARGET:", name]];
        if let Some(description) = &outline.description {
            rows.push(vec!["DESCRIPTION:", description]);
        }
        text.push_str(&table(&rows, 1));
        text.push('\n');
    }
    if !outline.args.is_empty() {
        let mut rows = vec![vec!["BUILD ARG", "VALUE", "DESCRIPTION"]];
        rows.extend(outline.args.iter().map(|argument| {
            let description = argument.description.as_deref().unwrap_or_default();
            vec![argument.name.as_str(), argument.value.as_str(), description]
        }));
        text.push_str(&table(&rows, 3));
        text.push('\n');
    }
    for (title, needed) in [("SECRET", &outline.secrets), ("SSH", &outline.ssh)] {
        if !needed.is_empty() {
            let row = |needed: &'_ Needed| if needed.required { "true" } else { "" };
            let mut rows = vec![vec![title, "REQUIRED"]];
            rows.extend(needed.iter().map(|needed| vec![needed.name.as_str(), row(needed)]));
            text.push_str(&table(&rows, 3));
            text.push('\n');
        }
    }
    text
}

fn targets_text(targets: &Targets) -> String {
    let names: Vec<String> = targets
        .targets
        .iter()
        .map(|target| match (target.name.as_str(), target.default) {
            ("", true) => "(default)".to_owned(),
            (name, true) => format!("{name} (default)"),
            (name, false) => name.to_owned(),
        })
        .collect();
    let mut rows = vec![vec!["TARGET", "DESCRIPTION"]];
    rows.extend(
        names
            .iter()
            .zip(&targets.targets)
            .map(|(name, target)| vec![name.as_str(), target.description.as_deref().unwrap_or_default()]),
    );
    table(&rows, 1)
}

/// Renders rows with columns of equal width, `gap` blanks apart; the last column is as wide as it is.
fn table(rows: &[Vec<&str>], gap: usize) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0) + gap;
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            let padding = if column + 1 == columns {
                0
            } else {
                widths[column] - cell.chars().count()
            };
            text.push_str(cell);
            text.push_str(&" ".repeat(padding));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_with_their_format() {
        let question = |about, format| Ok(Some(Question { about, format }));
        assert_eq!(parse("build"), Ok(None));
        assert_eq!(parse("check"), question(About::Check, Format::Text));
        assert_eq!(parse("outline,format=json"), question(About::Outline, Format::Json));
        assert_eq!(parse("targets,format=text"), question(About::Targets, Format::Text));
        for (text, problem) in [("chekc", "did you mean check?"), ("check,format=xml", "format=json")] {
            assert!(parse(text).is_err_and(|error| error.contains(problem)), "{text}");
        }
    }

    #[test]
    fn columns_are_aligned_but_for_the_last() {
        assert_eq!(table(&[vec!["A", "BC"], vec!["long", ""]], 2), "A     BC\nlong  \n");
    }
}
