//! `--ssh`: the agents that `RUN --mount=type=ssh` may ask.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use super::environment::{Environment, absolute};
use super::failure::{Failure, Kind};
use super::key_agent::{KeyAgent, KeyAgentError};
use super::request::usage;
use super::values::ValueError;
use crate::diagnostic::Diagnostic;

const OPTION: &str = "--ssh";

/// The agents of a build. Those that croze started end when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Agents {
    /// The agents' sockets, by id.
    pub(super) sockets: BTreeMap<String, PathBuf>,
    started: Vec<KeyAgent>,
}

/// Reads `default`, `ID`, `ID=SOCKET` or `ID=KEY,…`; without a path it is the user's own agent.
///
/// # Errors
/// Usage for what names no agent, missing input for a socket or a key that is not there or cannot be used.
pub(super) fn agents(texts: &[String], environment: &Environment) -> Result<Agents, Failure> {
    let mut agents = Agents::default();
    for text in texts {
        let (id, paths) = text.split_once('=').unwrap_or((text, ""));
        if id.is_empty() {
            return Err(usage(ValueError::new(OPTION, text, "the id is missing")));
        }
        let paths: Vec<PathBuf> = match paths {
            "" => vec![absolute(&own_agent(text, environment)?)],
            paths => paths.split(',').map(|path| absolute(Path::new(path))).collect(),
        };
        let socket = match &paths[..] {
            [path] if is_socket(text, path)? => path.clone(),
            keys => {
                let agent = with_keys(text, keys, environment)?;
                let socket = agent.socket();
                agents.started.push(agent);
                socket
            }
        };
        if agents.sockets.insert(id.to_owned(), socket).is_some() {
            return Err(usage(ValueError::new(OPTION, text, "the id is given twice")));
        }
    }
    Ok(agents)
}

/// Returns the socket of the agent that the user runs.
fn own_agent(text: &str, environment: &Environment) -> Result<PathBuf, Failure> {
    environment.get("SSH_AUTH_SOCK").map(PathBuf::from).ok_or_else(|| {
        let message = Diagnostic::error(format!(
            "`{OPTION} {text}`: no agent is running: `SSH_AUTH_SOCK` is not set"
        ));
        Failure::new(
            Kind::Input,
            message.help("start one: `eval $(ssh-agent)`, then `ssh-add`"),
        )
    })
}

/// Starts an agent that holds the keys.
fn with_keys(text: &str, keys: &[PathBuf], environment: &Environment) -> Result<KeyAgent, Failure> {
    for key in keys {
        if is_socket(text, key)? {
            let message = format!("`{}` is a socket: an id has one agent, or keys", key.display());
            return Err(usage(ValueError::new(OPTION, text, message)));
        }
    }
    KeyAgent::start(keys, environment.get("PATH")).map_err(|error| match error {
        KeyAgentError::Refused(why) => {
            let message = Diagnostic::error(format!(
                "`{OPTION} {text}` is neither an agent's socket nor a key: {why}"
            ));
            let help = "a key with a passphrase is for an agent to hold: `eval $(ssh-agent)`, `ssh-add KEY`, then \
                        `--ssh default`";
            Failure::new(Kind::Input, message.help(help))
        }
        KeyAgentError::Program(_) => Failure::because(Kind::Environment, &error)
            .help("keys need `ssh-agent` and `ssh-add`: install OpenSSH's client"),
        KeyAgentError::Directory(_) => Failure::because(Kind::Resource, &error),
    })
}

fn is_socket(text: &str, path: &Path) -> Result<bool, Failure> {
    let metadata = fs::metadata(path).map_err(|error| {
        let message = Diagnostic::error(format!("`{OPTION} {text}`: cannot find `{}`", path.display()));
        Failure::new(Kind::Input, message.because(&error))
    })?;
    Ok(metadata.file_type().is_socket())
}
