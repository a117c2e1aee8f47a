//! `--ssh`: the agents that `RUN --mount=type=ssh` may ask.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::PathBuf;

use super::environment::{Environment, absolute};
use super::failure::{Failure, Kind};
use super::request::usage;
use super::values::ValueError;
use crate::diagnostic::Diagnostic;

const OPTION: &str = "--ssh";

/// Reads `default`, `ID` or `ID=SOCKET`; without a socket it is that of the user's own agent.
///
/// # Errors
/// Usage for what names no agent, missing input for a socket that is not there.
pub(super) fn agents(texts: &[String], environment: &Environment) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let mut agents = BTreeMap::new();
    for text in texts {
        let (id, path) = text.split_once('=').unwrap_or((text, ""));
        if id.is_empty() {
            return Err(usage(ValueError::new(OPTION, text, "the id is missing")));
        }
        let socket = match path {
            "" => environment.get("SSH_AUTH_SOCK").map(PathBuf::from).ok_or_else(|| {
                let message = Diagnostic::error(format!(
                    "`{OPTION} {text}`: no agent is running: `SSH_AUTH_SOCK` is not set"
                ));
                Failure::new(
                    Kind::Input,
                    message.help("start one: `eval $(ssh-agent)`, then `ssh-add`"),
                )
            })?,
            path => PathBuf::from(path),
        };
        let socket = absolute(&socket);
        check(text, &socket)?;
        if agents.insert(id.to_owned(), socket).is_some() {
            return Err(usage(ValueError::new(OPTION, text, "the id is given twice")));
        }
    }
    Ok(agents)
}

/// Checks that a path is a socket: keys are for an agent to hold, so that no build ever sees one.
fn check(text: &str, socket: &std::path::Path) -> Result<(), Failure> {
    let metadata = fs::metadata(socket).map_err(|error| {
        let message = Diagnostic::error(format!("`{OPTION} {text}`: cannot find `{}`", socket.display()));
        Failure::new(Kind::Input, message.because(&error))
    })?;
    if metadata.file_type().is_socket() {
        return Ok(());
    }
    let shown = socket.display();
    let message = Diagnostic::error(format!(
        "`{OPTION} {text}`: `{shown}` is not the socket of an ssh-agent"
    ));
    let help =
        format!("if it is a key, let an agent hold it: `eval $(ssh-agent); ssh-add {shown}`, then `--ssh default`");
    Err(Failure::new(Kind::Usage, message.help(help)))
}
