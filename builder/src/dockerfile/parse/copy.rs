//! `COPY` and `ADD`.

use super::statement::Statement;
use crate::{
    diagnostic::{Diagnostic, Spanned},
    dockerfile::{
        flags::Takes,
        heredoc,
        instruction::{AddOptions, CopyOptions, FileSource, Heredoc, InstructionKind},
        split,
    },
};

pub(super) fn copy(statement: &Statement<'_>, heredocs: Vec<Heredoc>) -> Result<InstructionKind, Diagnostic> {
    let arguments = arguments(statement)?;
    let flags = &statement.flags;
    flags.check(&[
        ("from", Takes::Value),
        ("chown", Takes::Value),
        ("chmod", Takes::Value),
        ("link", Takes::Switch),
        ("parents", Takes::Switch),
        ("exclude", Takes::Values),
    ])?;
    let from = flags.value("from");
    if let Some(from) = from.as_ref().filter(|from| from.contains('$')) {
        return Err(Diagnostic::error(
            "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope \
             as a workaround",
        )
        .at(from.span, "")
        .help(format!(
            "add `FROM {} AS name` before this stage, and write `--from=name`",
            from.value
        )));
    }
    let (sources, destination) = sources(statement, arguments, heredocs)?;
    Ok(InstructionKind::Copy(CopyOptions {
        sources,
        destination,
        from,
        chown: flags.value("chown"),
        chmod: flags.value("chmod"),
        link: flags.switch("link").unwrap_or(false),
        parents: flags.switch("parents").unwrap_or(false),
        exclude: flags.values("exclude"),
    }))
}

pub(super) fn add(statement: &Statement<'_>, heredocs: Vec<Heredoc>) -> Result<InstructionKind, Diagnostic> {
    let arguments = arguments(statement)?;
    let flags = &statement.flags;
    flags.check(&[
        ("keep-git-dir", Takes::Switch),
        ("checksum", Takes::Value),
        ("chown", Takes::Value),
        ("chmod", Takes::Value),
        ("link", Takes::Switch),
        ("unpack", Takes::Switch),
        ("exclude", Takes::Values),
    ])?;
    let (sources, destination) = sources(statement, arguments, heredocs)?;
    Ok(InstructionKind::Add(AddOptions {
        sources,
        destination,
        chown: flags.value("chown"),
        chmod: flags.value("chmod"),
        link: flags.switch("link").unwrap_or(false),
        checksum: flags.value("checksum"),
        unpack: flags.switch("unpack"),
        keep_git_dir: flags.switch("keep-git-dir"),
        exclude: flags.values("exclude"),
    }))
}

fn arguments(statement: &Statement<'_>) -> Result<Vec<Spanned<String>>, Diagnostic> {
    let arguments = statement.list();
    if arguments.len() < 2 {
        return Err(statement
            .error("requires at least two arguments, but only one was provided. Destination could not be determined"));
    }
    Ok(arguments)
}

/// Tells sources from the destination, and heredocs from paths.
fn sources(
    statement: &Statement<'_>,
    mut arguments: Vec<Spanned<String>>,
    heredocs: Vec<Heredoc>,
) -> Result<(Vec<FileSource>, Spanned<String>), Diagnostic> {
    let destination = arguments.pop().unwrap_or_default();
    if opened(&destination).is_some() {
        return Err(statement
            .error("cannot accept a heredoc as a destination")
            .at(destination.span, "the last argument is where to copy to"));
    }
    let mut heredocs = heredocs.into_iter();
    let mut sources = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let Some(name) = opened(&argument) else {
            sources.push(FileSource::Path(argument));
            continue;
        };
        match heredocs.next() {
            // Words end at blanks here, even at those that belong to the word for whoever looks for heredocs.
            Some(heredoc) if heredoc.name != name || heredoc.opener.contains(split::BLANKS) => {
                return Err(without_source(statement, &heredoc));
            }
            Some(heredoc) => sources.push(FileSource::Heredoc(heredoc)),
            None => return Err(without_body(statement, &argument)),
        }
    }
    match heredocs.next() {
        None => Ok((sources, destination)),
        Some(unused) => Err(without_source(statement, &unused)),
    }
}

/// Returns the name of the heredoc that an argument opens.
fn opened(argument: &str) -> Option<String> {
    heredoc::opener(argument).ok().flatten().map(|opener| opener.name)
}

fn without_source(statement: &Statement<'_>, heredoc: &Heredoc) -> Diagnostic {
    let name = &heredoc.name;
    statement
        .error(&format!("cannot tell which source the heredoc `{name}` is"))
        .help(format!(
            "write `<<{name}` as one word: no blank after `<<`, none in the name"
        ))
}

/// BuildKit would make an empty file here, which nobody can mean.
fn without_body(statement: &Statement<'_>, argument: &Spanned<String>) -> Diagnostic {
    let error = statement.error(&format!("cannot find the body of the heredoc `{}`", argument.value));
    if statement.exec.is_some() {
        error
            .at(argument.span, "")
            .help("heredocs need the form without brackets")
    } else {
        error
            .at(argument.span, "")
            .help("a quote in this line has no partner, so that no heredoc is recognised in it")
    }
}
