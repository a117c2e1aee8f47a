//! The CI runner that shows what croze prints: which one it is, and annotations for it.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::args::{BuildArgs, ProgressArg};
use super::environment::{Environment, absolute};
use crate::diagnostic::Diagnostic;
use crate::progress::{Files, Marks, Runner, annotation};
use crate::sys;

/// Returns the runner for which a build is shown, if it is for one.
pub(super) fn of(args: &BuildArgs, environment: &Environment) -> Option<Runner> {
    match args.progress {
        ProgressArg::Github => Some(Runner::GitHub(files(args, environment))),
        ProgressArg::Gitlab => Some(Runner::GitLab),
        ProgressArg::Auto if environment.is_github() => Some(Runner::GitHub(files(args, environment))),
        ProgressArg::Auto if environment.is_gitlab() => Some(Runner::GitLab),
        ProgressArg::Auto | ProgressArg::Tty | ProgressArg::Plain | ProgressArg::Quiet | ProgressArg::Rawjson => None,
    }
}

/// Returns marks for groups from the kernel's generator.
pub(super) fn marks() -> Marks {
    Box::new(|| {
        let random: [u8; 16] = sys::random()?;
        Ok(format!("{:032x}", u128::from_ne_bytes(random)))
    })
}

/// Annotates what diagnostics point at, where the runner knows annotations.
pub(super) fn annotate<'a>(runner: Option<&Runner>, diagnostics: impl IntoIterator<Item = &'a Diagnostic>) {
    if let Some(Runner::GitHub(files)) = runner {
        for diagnostic in diagnostics {
            let _reader_gone = writeln!(io::stderr(), "{}", annotation(diagnostic, files));
        }
    }
}

/// Returns where the files that messages can speak of are in the repository.
fn files(args: &BuildArgs, environment: &Environment) -> Files {
    let context = absolute(Path::new(&args.context));
    let workspace = environment
        .github_workspace()
        .and_then(|path| fs::canonicalize(path).ok());
    // The files of contexts that are fetched have the same names, and are others.
    let (Some(workspace), true) = (workspace, context.is_dir()) else {
        return Files::default();
    };
    let candidates: Vec<(String, PathBuf)> = match &args.file {
        Some(file) => vec![(file.clone(), absolute(Path::new(file)))],
        None => ["Dockerfile", "dockerfile"]
            .into_iter()
            .map(|name| (name.to_owned(), context.join(name)))
            .collect(),
    };
    let in_repository = |(name, path): (String, PathBuf)| {
        let path = fs::canonicalize(path).ok()?;
        Some((name, path.strip_prefix(&workspace).ok()?.to_str()?.to_owned()))
    };
    candidates.into_iter().filter_map(in_repository).collect()
}
