//! `CMD`, `ENTRYPOINT`, `SHELL` and `HEALTHCHECK`: commands that the image keeps.

use super::statement::Statement;
use crate::{
    diagnostic::{Diagnostic, Spanned},
    dockerfile::{
        duration,
        flags::Takes,
        instruction::{CommandForm, HealthcheckTest, Heredoc, InstructionKind},
        json_form,
        mapped::Part,
    },
};

/// Makes a command of arguments in either form.
pub(super) fn form(statement: &Statement<'_>, heredocs: Vec<Heredoc>) -> CommandForm {
    match &statement.exec {
        Some(exec) => exec_form(exec.clone()),
        None => CommandForm::Shell {
            line: statement.rest.spanned(),
            heredocs,
        },
    }
}

fn exec_form(words: Vec<Spanned<String>>) -> CommandForm {
    CommandForm::Exec(words.into_iter().map(|word| word.value).collect())
}

pub(super) fn cmd(statement: &Statement<'_>) -> Result<InstructionKind, Diagnostic> {
    statement.flags.check(&[])?;
    Ok(InstructionKind::Cmd(form(statement, Vec::new())))
}

pub(super) fn entrypoint(statement: &Statement<'_>) -> Result<InstructionKind, Diagnostic> {
    statement.flags.check(&[])?;
    Ok(InstructionKind::Entrypoint(form(statement, Vec::new())))
}

pub(super) fn shell(statement: &Statement<'_>) -> Result<InstructionKind, Diagnostic> {
    statement.flags.check(&[])?;
    match &statement.exec {
        Some(exec) if !exec.is_empty() => Ok(InstructionKind::Shell(
            exec.iter().map(|word| word.value.clone()).collect(),
        )),
        None if !statement.rest.is_empty() => Err(statement
            .error("requires the arguments to be in JSON form")
            .help("write `SHELL [\"/bin/bash\", \"-c\"]`; backslashes are doubled inside the quotes")),
        _ => Err(statement.at_least_one()),
    }
}

pub(super) fn healthcheck(statement: &Statement<'_>) -> Result<InstructionKind, Diagnostic> {
    if statement.rest.is_empty() {
        return Err(statement.at_least_one());
    }
    let flags = &statement.flags;
    flags.check(&[
        ("interval", Takes::Value),
        ("timeout", Takes::Value),
        ("start-period", Takes::Value),
        ("start-interval", Takes::Value),
        ("retries", Takes::Value),
    ])?;
    let nanoseconds = |name| flags.value(name).map_or(Ok(0), |value| interval(name, &value));
    Ok(InstructionKind::Healthcheck {
        test: test(statement)?,
        interval: nanoseconds("interval")?,
        timeout: nanoseconds("timeout")?,
        start_period: nanoseconds("start-period")?,
        start_interval: nanoseconds("start-interval")?,
        retries: flags.value("retries").map_or(Ok(0), |value| retries(&value))?,
    })
}

fn test(statement: &Statement<'_>) -> Result<HealthcheckTest, Diagnostic> {
    let text = statement.rest.text();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let kind = statement.rest.slice(0..end);
    let command: Part<'_> = statement.rest.from(end).trim();
    let exec = json_form::strings(command)?;
    let is_empty = exec.as_ref().map_or(command.is_empty(), Vec::is_empty);
    match kind.text().to_uppercase().as_str() {
        "NONE" if is_empty => Ok(HealthcheckTest::None),
        "NONE" => Err(statement.error("NONE takes no arguments")),
        "CMD" if is_empty => Err(Diagnostic::error("Missing command after HEALTHCHECK CMD").at(kind.span(), "")),
        "CMD" => Ok(HealthcheckTest::Cmd(match exec {
            Some(words) => exec_form(words),
            None => CommandForm::Shell {
                line: command.spanned(),
                heredocs: Vec::new(),
            },
        })),
        other => Err(
            Diagnostic::error(format!("Unknown type {other:?} in HEALTHCHECK (try CMD)"))
                .at(kind.span(), "`CMD` or `NONE`"),
        ),
    }
}

/// Docker's daemon refuses shorter intervals.
const SHORTEST: u64 = 1_000_000;

fn interval(name: &str, value: &Spanned<String>) -> Result<u64, Diagnostic> {
    let nanoseconds = duration::parse(value).map_err(|error| {
        Diagnostic::error(error.to_string())
            .at(value.span, "")
            .help("write `30s` or `1m30s`")
    })?;
    match u64::try_from(nanoseconds) {
        Ok(nanoseconds) if nanoseconds == 0 || nanoseconds >= SHORTEST => Ok(nanoseconds),
        _ => Err(Diagnostic::error(format!("Interval \"{name}\" cannot be less than 1ms")).at(value.span, "")),
    }
}

fn retries(value: &Spanned<String>) -> Result<u64, Diagnostic> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    match value.parse::<i32>() {
        Ok(retries) => u64::try_from(retries)
            .map_err(|_| Diagnostic::error(format!("--retries cannot be negative ({retries})")).at(value.span, "")),
        Err(_) => {
            let why = if !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()) {
                "value out of range"
            } else {
                "invalid syntax"
            };
            Err(Diagnostic::error(format!("parsing --retries={:?}: {why}", value.value)).at(value.span, "not a number"))
        }
    }
}
