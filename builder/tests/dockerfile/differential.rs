//! Two other parsers on files of ours, as far as each understands them.
//!
//! Neither is an authority, BuildKit is; but what three parsers agree on is no accident of one.

use std::{fs, path::Path, sync::Arc};

use builder::{
    diagnostic::SourceFile,
    dockerfile::{self, CommandForm, FileSource, InstructionKind},
};

/// An instruction as the crudest common view: its keyword, and the words that all parsers give.
type Outline = Vec<(String, Vec<String>)>;

fn text(case: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../testdata/syntax/{case}/Dockerfile"));
    fs::read_to_string(path).unwrap()
}

fn ours(text: &str) -> Outline {
    let file = dockerfile::parse(Arc::new(SourceFile::new("Dockerfile", text))).unwrap();
    let mut outline: Outline = file.globals.iter().map(instruction).collect();
    for stage in &file.stages {
        let name = stage.name.as_ref().map(|name| name.value.clone());
        outline.push((
            "FROM".to_owned(),
            [stage.base.value.clone()].into_iter().chain(name).collect(),
        ));
        outline.extend(stage.instructions.iter().map(instruction));
    }
    outline
}

fn instruction(instruction: &dockerfile::Instruction) -> (String, Vec<String>) {
    let words = match &instruction.kind {
        InstructionKind::Run { command, .. } | InstructionKind::Cmd(command) | InstructionKind::Entrypoint(command) => {
            self::command(command)
        }
        InstructionKind::Copy(copy) => paths(&copy.sources, &copy.destination),
        InstructionKind::Add(add) => paths(&add.sources, &add.destination),
        _ => Vec::new(),
    };
    (instruction.keyword.to_uppercase(), words)
}

fn command(command: &CommandForm) -> Vec<String> {
    match command {
        CommandForm::Exec(words) => words.clone(),
        CommandForm::Shell { line, .. } => vec![blanks_collapsed(line)],
    }
}

fn paths(sources: &[FileSource], destination: &str) -> Vec<String> {
    let sources = sources.iter().map(|source| match source {
        FileSource::Path(path) => path.value.clone(),
        FileSource::Heredoc(heredoc) => heredoc.body.clone(),
    });
    sources.chain([destination.to_owned()]).collect()
}

fn blanks_collapsed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The view of `parse-dockerfile`, which leaves continuations in shell commands.
fn parse_dockerfile(text: &str, escape: char) -> Outline {
    use parse_dockerfile::{Command, Instruction, Source};
    let command = |command: &Command<'_>| match command {
        Command::Exec(words) => words.value.iter().map(|word| word.value.to_string()).collect(),
        Command::Shell(line) => vec![joined(line.value, escape)],
        _ => panic!("a third form"),
    };
    let paths = |sources: &[Source<'_>], destination: &str| -> Vec<String> {
        let sources = sources.iter().map(|source| match source {
            Source::Path(path) => path.value.to_string(),
            Source::HereDoc(document) => document.value.to_string(),
            _ => panic!("a third kind of source"),
        });
        sources.chain([destination.to_owned()]).collect()
    };
    let file = parse_dockerfile::parse(text).unwrap();
    file.instructions
        .iter()
        .map(|instruction| match instruction {
            Instruction::From(from) => {
                let name = from.as_.as_ref().map(|(_, name)| name.value.to_lowercase());
                (
                    "FROM".to_owned(),
                    [from.image.value.to_string()].into_iter().chain(name).collect(),
                )
            }
            Instruction::Run(run) => ("RUN".to_owned(), command(&run.arguments)),
            Instruction::Cmd(cmd) => ("CMD".to_owned(), command(&cmd.arguments)),
            Instruction::Entrypoint(entrypoint) => ("ENTRYPOINT".to_owned(), command(&entrypoint.arguments)),
            Instruction::Copy(copy) => ("COPY".to_owned(), paths(&copy.src, &copy.dest.value)),
            Instruction::Add(add) => ("ADD".to_owned(), paths(&add.src, &add.dest.value)),
            other => (keyword(other).to_owned(), Vec::new()),
        })
        .collect()
}

fn keyword(instruction: &parse_dockerfile::Instruction<'_>) -> &'static str {
    use parse_dockerfile::Instruction;
    match instruction {
        Instruction::Arg(_) => "ARG",
        Instruction::Env(_) => "ENV",
        Instruction::Expose(_) => "EXPOSE",
        Instruction::Healthcheck(_) => "HEALTHCHECK",
        Instruction::Label(_) => "LABEL",
        Instruction::Maintainer(_) => "MAINTAINER",
        Instruction::Onbuild(_) => "ONBUILD",
        Instruction::Shell(_) => "SHELL",
        Instruction::Stopsignal(_) => "STOPSIGNAL",
        Instruction::User(_) => "USER",
        Instruction::Volume(_) => "VOLUME",
        Instruction::Workdir(_) => "WORKDIR",
        other => panic!("{other:?}"),
    }
}

/// Joins continued lines the crude way: good enough for text without escaped escapes.
fn joined(text: &str, escape: char) -> String {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .map(|line| line.trim_end().trim_end_matches(escape));
    blanks_collapsed(&lines.collect::<Vec<_>>().join(" "))
}

/// The view of `dockerfile-parser`, which knows neither heredocs nor flags of `RUN`.
fn dockerfile_parser(text: &str) -> Outline {
    use dockerfile_parser::{Instruction, ShellOrExecExpr};
    let command = |command: &ShellOrExecExpr| match command {
        ShellOrExecExpr::Exec(words) => words.as_str_vec().into_iter().map(str::to_owned).collect(),
        ShellOrExecExpr::Shell(line) => vec![blanks_collapsed(&line.to_string())],
    };
    let file = dockerfile_parser::Dockerfile::parse(text).unwrap();
    file.instructions
        .iter()
        .map(|instruction| match instruction {
            Instruction::From(from) => {
                let name = from.alias.as_ref().map(|name| name.content.clone());
                (
                    "FROM".to_owned(),
                    [from.image.content.clone()].into_iter().chain(name).collect(),
                )
            }
            Instruction::Run(run) => ("RUN".to_owned(), command(&run.expr)),
            Instruction::Cmd(cmd) => ("CMD".to_owned(), command(&cmd.expr)),
            Instruction::Entrypoint(entrypoint) => ("ENTRYPOINT".to_owned(), command(&entrypoint.expr)),
            Instruction::Copy(copy) => {
                let paths = copy.sources.iter().chain([&copy.destination]);
                ("COPY".to_owned(), paths.map(|path| path.content.clone()).collect())
            }
            Instruction::Arg(_) => ("ARG".to_owned(), Vec::new()),
            Instruction::Env(_) => ("ENV".to_owned(), Vec::new()),
            Instruction::Label(_) => ("LABEL".to_owned(), Vec::new()),
            Instruction::Misc(misc) => (misc.instruction.content.to_uppercase(), Vec::new()),
        })
        .collect()
}

#[test]
fn parse_dockerfile_sees_the_same_instructions() {
    for (case, escape) in [
        ("plain", '\\'),
        ("mounts", '\\'),
        ("backtick", '`'),
        ("metadata", '\\'),
        ("triggers", '\\'),
    ] {
        let text = text(case);
        assert_eq!(ours(&text), parse_dockerfile(&text, escape), "{case}");
    }
}

#[test]
fn dockerfile_parser_sees_the_same_instructions_in_the_plain_file() {
    let text = text("plain");
    assert_eq!(ours(&text), dockerfile_parser(&text));
}
