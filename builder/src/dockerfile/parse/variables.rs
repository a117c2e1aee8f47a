//! `ENV`, `LABEL` and `ARG`.

use super::statement::Statement;
use crate::{
    diagnostic::Diagnostic,
    dockerfile::{
        instruction::{ArgDefinition, InstructionKind, KeyValue},
        mapped::Part,
        split,
    },
};

pub(super) fn env(statement: &Statement<'_>) -> Result<InstructionKind, Diagnostic> {
    pairs(statement).map(InstructionKind::Env)
}

pub(super) fn label(statement: &Statement<'_>) -> Result<InstructionKind, Diagnostic> {
    pairs(statement).map(InstructionKind::Label)
}

/// Reads `key=value …`, or the old `key value` with one value that reaches to the end of the line.
fn pairs(statement: &Statement<'_>) -> Result<Vec<KeyValue>, Diagnostic> {
    statement.flags.check(&[])?;
    let words = split::quoted_words(statement.rest, statement.escape);
    let Some(first) = words.first() else {
        return Err(statement.at_least_one());
    };
    if !first.text().contains('=') {
        let Some((key, value)) = split::first_word(statement.rest) else {
            return Err(statement
                .error("must have two arguments")
                .at(first.span(), format!("write `{}=…`", first.text())));
        };
        return Ok(vec![pair(statement, key, value, true)?]);
    }
    words.into_iter().map(|word| assignment(statement, word)).collect()
}

fn assignment(statement: &Statement<'_>, word: Part<'_>) -> Result<KeyValue, Diagnostic> {
    let Some((key, value)) = word.split_once('=') else {
        return Err(Diagnostic::error(format!(
            "Syntax error - can't find = in {:?}. Must be of the form: name=value",
            word.text()
        ))
        .at(word.span(), "")
        .help("put a value with blanks into double quotes"));
    };
    pair(statement, key, value, false)
}

fn pair(statement: &Statement<'_>, key: Part<'_>, value: Part<'_>, legacy: bool) -> Result<KeyValue, Diagnostic> {
    if key.is_empty() {
        return Err(blank_name(statement, value));
    }
    Ok(KeyValue {
        key: key.spanned(),
        value: value.spanned(),
        legacy,
    })
}

fn blank_name(statement: &Statement<'_>, value: Part<'_>) -> Diagnostic {
    statement
        .error("names can not be blank")
        .at(value.span(), "the name before `=` is missing")
}

pub(super) fn arg(statement: &Statement<'_>) -> Result<InstructionKind, Diagnostic> {
    statement.flags.check(&[])?;
    let words = split::quoted_words(statement.rest, statement.escape);
    if words.is_empty() {
        return Err(statement.at_least_one());
    }
    let definitions = words.into_iter().map(|word| {
        let (name, default) = match word.split_once('=') {
            Some((name, default)) if name.is_empty() => return Err(blank_name(statement, default)),
            Some((name, default)) => (name, Some(default.spanned())),
            None => (word, None),
        };
        Ok(ArgDefinition {
            name: name.spanned(),
            default,
        })
    });
    definitions.collect::<Result<_, _>>().map(InstructionKind::Arg)
}
