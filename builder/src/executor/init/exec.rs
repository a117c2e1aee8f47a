//! Becoming the program.

use std::convert::Infallible;
use std::ffi::CString;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use rustix::fs::{Access, AtFlags, CWD, FileType, accessat, stat};

use crate::executor::setup_error::{OnPath, SetupError};
use crate::sys;

/// Replaces this process by the program; returns only if that fails.
pub(super) fn exec(args: &[String], env: &[(String, String)]) -> Result<(), SetupError> {
    let name = args.first().map(String::as_str).unwrap_or_default();
    let search = env
        .iter()
        .rev()
        .find(|(name, _)| name == "PATH")
        .map(|(_, value)| value.as_str());
    let program = find(name, search.unwrap_or_default()).ok_or_else(|| SetupError::ProgramNotFound {
        program: name.to_owned(),
    })?;

    let strings = |strings: Vec<String>| {
        strings
            .into_iter()
            .map(CString::new)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| SetupError::Nul)
    };
    let arguments = strings(args.to_vec())?;
    let environment = strings(env.iter().map(|(name, value)| format!("{name}={value}")).collect())?;
    let path = strings(vec![program.to_string_lossy().into_owned()])?.remove(0);

    sys::reset_signals().on("reset the signals of", "the step")?;
    sys::close_on_exec_from(3).on("mark the descriptors of", "the step")?;
    let refused: Result<Infallible, Errno> = nix::unistd::execve(&path, &arguments, &environment);
    match refused {
        Ok(never) => match never {},
        Err(error) => Err(why(program, error)),
    }
}

/// Looks a program up like execvp(3). A name with a slash is taken as it is.
fn find(name: &str, search: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(name.into());
    }
    if name.is_empty() {
        return None;
    }
    // An empty element stands for the working directory.
    let dirs = search.split(':').map(|dir| if dir.is_empty() { "." } else { dir });
    dirs.map(|dir| Path::new(dir).join(name))
        .find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    let is_file = stat(path).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    is_file && accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

fn why(program: PathBuf, error: Errno) -> SetupError {
    match error {
        Errno::ENOEXEC => SetupError::ExecFormat { program },
        Errno::ENOENT if stat(&program).is_ok() => SetupError::InterpreterNotFound { program },
        _ => SetupError::Exec {
            program,
            source: error.into(),
        },
    }
}
