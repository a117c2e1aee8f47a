//! Lines to instructions: all errors of a file at once, and heredoc bodies never taken for instructions.

mod command;
mod copy;
mod from;
mod run;
mod statement;
#[cfg(test)]
mod tests;
mod variables;

use std::sync::Arc;

pub use self::from::described;
use self::statement::{Statement, unknown_instruction};
use super::{
    directive,
    heredoc::{self, Opener},
    instruction::{Dockerfile, Heredoc, Instruction, InstructionKind, Stage},
    keyword::Keyword,
    lines::{Lines, LogicalLine},
    mapped::{Mapped, Part},
    split,
};
use crate::diagnostic::{Diagnostic, SourceFile, Span, Spanned};

/// Reads a Dockerfile. If it has errors, gives all of them, in the order of the file.
pub fn parse(source: Arc<SourceFile>) -> Result<Dockerfile, Vec<Diagnostic>> {
    match parse_partially(source) {
        (dockerfile, errors) if errors.is_empty() => Ok(dockerfile),
        (_, errors) => Err(errors),
    }
}

/// Reads what can be read of a Dockerfile: what has errors is left out, even if no stage remains, and they are given
/// with it, in the order of the file.
pub fn parse_partially(source: Arc<SourceFile>) -> (Dockerfile, Vec<Diagnostic>) {
    let mut parser = Parser::new(source.text());
    parser.read();
    let mut errors = parser.errors;
    errors.append(&mut parser.lines.errors);
    if errors.is_empty() && parser.stages.is_empty() {
        errors.push(no_stages(&source, &parser.globals));
    }
    errors.sort_by_key(|error| error.labels.first().map(|label| label.span));
    let errors = errors.into_iter().map(|error| error.in_file(&source)).collect();
    let directives = parser.lines.directives;
    let dockerfile = Dockerfile {
        escape: directives.escape,
        syntax: directive::syntax(&source),
        check: directives.check,
        empty_continuations: parser.empty_continuations,
        globals: parser.globals,
        stages: parser.stages,
        source,
    };
    (dockerfile, errors)
}

fn no_stages(source: &SourceFile, globals: &[Instruction]) -> Diagnostic {
    if source.text().is_empty() {
        Diagnostic::error("the Dockerfile cannot be empty")
    } else if let Some(last) = globals.last() {
        Diagnostic::error("dockerfile contains no stages to build")
            .at(last.span, "")
            .help("add `FROM image`; only `ARG` may stand before it")
    } else {
        Diagnostic::error("file with no instructions").help("a Dockerfile starts with `FROM image`")
    }
}

/// Reads the text of an `ONBUILD` trigger, as an image's config has it. The instruction's spans point into the file
/// that is given back with it, under `name`.
pub fn parse_trigger(name: &str, text: &str) -> Result<(Arc<SourceFile>, Instruction), Vec<Diagnostic>> {
    let source = Arc::new(SourceFile::new(name, text));
    let mut parser = Parser::new(source.text());
    let mut instructions = Vec::new();
    while let Some(line) = parser.lines.next_logical() {
        match parser.instruction(&line) {
            Ok(Parsed::Instruction(instruction)) => instructions.push(instruction),
            Ok(Parsed::Stage(stage)) => {
                let error = Diagnostic::error("FROM isn't allowed as an ONBUILD trigger").at(stage.span, "");
                parser.errors.push(error);
            }
            Err(error) => parser.errors.push(error),
        }
    }
    let mut errors = parser.errors;
    errors.append(&mut parser.lines.errors);
    match (instructions.pop(), instructions.pop()) {
        (Some(only), None) if errors.is_empty() => return Ok((source, only)),
        _ if errors.is_empty() => errors.push(Diagnostic::error("onbuild trigger should be a single expression")),
        _ => {}
    }
    Err(errors.into_iter().map(|error| error.in_file(&source)).collect())
}

enum Parsed {
    Stage(Stage),
    Instruction(Instruction),
}

struct Parser<'a> {
    source: &'a str,
    lines: Lines<'a>,
    globals: Vec<Instruction>,
    stages: Vec<Stage>,
    empty_continuations: Vec<Span>,
    errors: Vec<Diagnostic>,
    /// Whether a `FROM`, even a wrong one, has been seen: what follows belongs to a stage.
    seen_from: bool,
    /// How many lines in a row have been no instructions at all.
    foreign_lines: usize,
}

impl<'a> Parser<'a> {
    fn new(source: &'a str) -> Self {
        Self {
            source,
            lines: Lines::new(source),
            globals: Vec::new(),
            stages: Vec::new(),
            empty_continuations: Vec::new(),
            errors: Vec::new(),
            seen_from: false,
            foreign_lines: 0,
        }
    }

    fn read(&mut self) {
        let mut outside_reported = false;
        while let Some(line) = self.lines.next_logical() {
            self.empty_continuations.extend(&line.empty_lines);
            let keyword = Keyword::of(first_word(&line).text());
            if keyword.is_none() {
                self.unknown(&line);
                continue;
            }
            self.end_foreign_lines();
            self.seen_from |= keyword == Some(Keyword::From);
            match self.instruction(&line) {
                Err(error) => self.errors.push(error),
                Ok(Parsed::Stage(stage)) => self.stages.push(stage),
                Ok(Parsed::Instruction(instruction)) => match self.stages.last_mut() {
                    Some(stage) => stage.instructions.push(instruction),
                    None if self.seen_from => {}
                    None if matches!(instruction.kind, InstructionKind::Arg(_)) => self.globals.push(instruction),
                    None if outside_reported => {}
                    None => {
                        outside_reported = true;
                        self.errors.push(
                            Diagnostic::error("no build stage in current context")
                                .at(instruction.keyword.span, "this stands before the first `FROM`")
                                .help("only `ARG` may stand before `FROM`"),
                        );
                    }
                },
            }
        }
        self.end_foreign_lines();
    }

    /// Reports a line that starts with no keyword; lines after it that are as foreign are only counted, because they
    /// are most often the rest of a command whose first line lacks its escape character.
    fn unknown(&mut self, line: &LogicalLine) {
        let word = first_word(line);
        let meant = Keyword::near(word.text());
        if meant.is_none() {
            self.foreign_lines += 1;
            if self.foreign_lines > 1 {
                return;
            }
        } else {
            self.end_foreign_lines();
        }
        let error = unknown_instruction(word);
        self.errors.push(match meant {
            Some(_) => error,
            None => error.help(format!(
                "if this belongs to the instruction above, that must end with `{}`",
                self.lines.directives.escape
            )),
        });
        if meant.is_some_and(|(keyword, _)| keyword.takes_heredocs()) {
            self.skip_heredocs(line.text.whole());
        }
    }

    fn end_foreign_lines(&mut self) {
        let more = std::mem::take(&mut self.foreign_lines).saturating_sub(1);
        if more > 0
            && let Some(error) = self.errors.pop()
        {
            let lines = if more == 1 { "line" } else { "lines" };
            self.errors
                .push(error.note(format!("{more} more {lines} after it are no instructions either")));
        }
    }

    fn instruction(&mut self, line: &LogicalLine) -> Result<Parsed, Diagnostic> {
        let whole = line.text.whole();
        let statement = Statement::read(whole, self.lines.directives.escape)?;
        if statement.keyword == Keyword::From {
            return from::stage(&statement, line).map(Parsed::Stage);
        }
        let mut span = line.span;
        let mut heredocs = Vec::new();
        for opener in opened(&statement, whole)? {
            heredocs.push(heredoc::body(opener, &mut self.lines, self.source, whole)?);
            let end = self.lines.end_of_last();
            span = span.to(Span::new(end, end));
        }
        Ok(Parsed::Instruction(Instruction {
            kind: kind(&statement, whole, heredocs, self.source)?,
            span,
            keyword: statement.word.spanned(),
            original: whole.text().to_owned(),
            comments: line.comments.clone(),
        }))
    }

    /// Skips the bodies of heredocs that a line with a misspelt keyword opens.
    fn skip_heredocs(&mut self, line: Part<'_>) {
        for opener in openers(line).unwrap_or_default() {
            if let Err(error) = heredoc::body(opener, &mut self.lines, self.source, line) {
                self.errors.push(error);
            }
        }
    }
}

fn first_word(line: &LogicalLine) -> Part<'_> {
    let text = line.text.whole().trim();
    split::first_word(text).map_or(text, |(word, _)| word)
}

/// Reads an instruction on one line that is no `FROM`, with the heredocs that follow it.
pub(super) fn kind_of(line: &str, escape: char, heredocs: Vec<Heredoc>) -> Result<InstructionKind, Diagnostic> {
    let mut text = Mapped::default();
    text.push(line, 0);
    kind(&Statement::read(text.whole(), escape)?, text.whole(), heredocs, line)
}

/// Returns the heredocs that an instruction on one line opens.
pub(super) fn openers_of(line: &str, escape: char) -> Result<Vec<Opener>, Diagnostic> {
    let mut text = Mapped::default();
    text.push(line, 0);
    opened(&Statement::read(text.whole(), escape)?, text.whole())
}

fn opened(statement: &Statement<'_>, line: Part<'_>) -> Result<Vec<Opener>, Diagnostic> {
    if statement.takes_heredocs() {
        openers(line)
    } else {
        Ok(Vec::new())
    }
}

fn openers(line: Part<'_>) -> Result<Vec<Opener>, Diagnostic> {
    heredoc::openers(line.text()).map_err(|error| Diagnostic::error(error.to_string()).at(line.span(), ""))
}

/// Reads the arguments of an instruction that is no `FROM`.
fn kind(
    statement: &Statement<'_>,
    line: Part<'_>,
    heredocs: Vec<Heredoc>,
    source: &str,
) -> Result<InstructionKind, Diagnostic> {
    match statement.keyword {
        Keyword::Add => copy::add(statement, heredocs),
        Keyword::Arg => variables::arg(statement),
        Keyword::Cmd => command::cmd(statement),
        Keyword::Copy => copy::copy(statement, heredocs),
        Keyword::Entrypoint => command::entrypoint(statement),
        Keyword::Env => variables::env(statement),
        Keyword::Expose => expose(statement),
        Keyword::From => Err(statement.error("isn't allowed here")),
        Keyword::Healthcheck => command::healthcheck(statement),
        Keyword::Label => variables::label(statement),
        Keyword::Maintainer => statement.one().map(InstructionKind::Maintainer),
        Keyword::Onbuild => onbuild(statement, line, heredocs, source),
        Keyword::Run => run::run(statement, heredocs),
        Keyword::Shell => command::shell(statement),
        Keyword::StopSignal => statement.one().map(InstructionKind::StopSignal),
        Keyword::User => statement.one().map(InstructionKind::User),
        Keyword::Volume => volume(statement),
        Keyword::Workdir => statement.one().map(InstructionKind::Workdir),
    }
}

fn expose(statement: &Statement<'_>) -> Result<InstructionKind, Diagnostic> {
    statement.flags.check(&[])?;
    let ports = statement.list();
    if ports.is_empty() {
        return Err(statement.at_least_one());
    }
    Ok(InstructionKind::Expose(ports))
}

fn volume(statement: &Statement<'_>) -> Result<InstructionKind, Diagnostic> {
    statement.flags.check(&[])?;
    let volumes: Vec<Spanned<String>> = statement
        .list()
        .into_iter()
        .map(|volume| Spanned::new(volume.trim().to_owned(), volume.span))
        .collect();
    if volumes.is_empty() {
        return Err(statement.at_least_one());
    }
    match volumes.iter().find(|volume| volume.is_empty()) {
        Some(empty) => Err(Diagnostic::error("VOLUME specified can not be an empty string").at(empty.span, "")),
        None => Ok(InstructionKind::Volume(volumes)),
    }
}

fn onbuild(
    statement: &Statement<'_>,
    line: Part<'_>,
    heredocs: Vec<Heredoc>,
    source: &str,
) -> Result<InstructionKind, Diagnostic> {
    statement.flags.check(&[])?;
    let Some(trigger) = &statement.trigger else {
        return Err(statement.at_least_one());
    };
    // The config keeps the text after the keyword with the bodies as they stand.
    let text = line.text().trim_start();
    let written = text[statement.word.text().len()..].trim_start();
    let mut expression = Spanned::new(written.to_owned(), statement.rest.span());
    for heredoc in &heredocs {
        expression.value.push('\n');
        expression.value.push_str(&source[heredoc.span.range()]);
        expression.value.push_str(&heredoc.name);
        expression.span = expression.span.to(heredoc.span);
    }
    Ok(InstructionKind::Onbuild {
        expression,
        trigger: Box::new(Instruction {
            kind: kind(trigger, statement.rest, heredocs, source)?,
            span: statement.rest.span(),
            keyword: trigger.word.spanned(),
            original: statement.rest.text().to_owned(),
            comments: Vec::new(),
        }),
    })
}
