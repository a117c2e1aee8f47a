//! The git command, with an environment of our own and nothing else.
//!
//! Configuration goes in through `GIT_CONFIG_…` variables: addresses and credentials are then in no argument list,
//! which every user of a machine can read.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::process::Command;

use crate::fetch::FetchError;

/// The last bytes of what git says that are shown.
const MESSAGE: usize = 2000;

/// Git, ready to talk to one repository.
#[derive(Clone)]
pub(super) struct Git {
    url: String,
    environment: Vec<(String, OsString)>,
    config: Vec<(String, String)>,
    /// What must not be in a message.
    secrets: Vec<String>,
}

impl Git {
    /// Makes git ready for the repository at `url`, with an agent for ssh if there is one.
    pub(super) fn new(environment: &[(String, OsString)], url: &str, agent: Option<&PathBuf>) -> Self {
        let mut environment = environment.to_vec();
        for (name, value) in [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("HOME", "/dev/null"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ASKPASS", ""),
            ("SSH_ASKPASS", ""),
            ("GIT_ALLOW_PROTOCOL", "http:https:git:ssh"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("LC_ALL", "C"),
        ] {
            environment.push((name.to_owned(), value.into()));
        }
        if let Some(agent) = agent {
            environment.push(("SSH_AUTH_SOCK".to_owned(), agent.clone().into()));
        }
        let config = [
            ("core.hooksPath", "/dev/null"),
            ("core.fsmonitor", "false"),
            ("core.protectHFS", "true"),
            ("core.protectNTFS", "true"),
            ("core.symlinks", "true"),
            ("credential.helper", ""),
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
            ("init.defaultBranch", "main"),
            ("advice.detachedHead", "false"),
            ("transfer.fsckObjects", "false"),
            ("submodule.recurse", "false"),
            ("http.lowSpeedLimit", "1"),
            ("http.lowSpeedTime", "60"),
            ("filter.lfs.required", "false"),
        ];
        let secrets = url.split_once("://").and_then(|(_, rest)| {
            let (user, _) = rest.split('/').next()?.rsplit_once('@')?;
            (user != "git").then(|| user.to_owned())
        });
        Self {
            url: url.to_owned(),
            environment,
            config: config
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            secrets: secrets.into_iter().collect(),
        }
    }

    /// Sends `header` as `Authorization` to what lies below `origin`, and follows no redirect with it.
    pub(super) fn authorize(&mut self, origin: &str, header: &str) {
        let line = format!("Authorization: {header}");
        self.config.push((format!("http.{origin}.extraHeader"), line));
        self.config
            .push(("http.followRedirects".to_owned(), "false".to_owned()));
        self.secrets.push(header.to_owned());
    }

    /// Returns the address of the repository without credentials, and has git add them for its host wherever they lack: so
    /// they reach submodules and stand in no file.
    pub(super) fn without_credentials(&self) -> (Self, String) {
        let mut git = self.clone();
        let Some((scheme @ ("http" | "https"), rest)) = self.url.split_once("://") else {
            return (git, self.url.clone());
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let Some((_, host)) = authority.rsplit_once('@') else {
            return (git, self.url.clone());
        };
        let key = format!("url.{scheme}://{authority}/.insteadOf");
        git.config.push((key, format!("{scheme}://{host}/")));
        (git, format!("{scheme}://{host}{path}"))
    }

    /// Runs git in a repository, or outside of all, where `origin` is what it talks to; returns what it prints. `operands`
    /// may come from strangers and have been checked not to begin like options.
    pub(super) async fn run(
        &self,
        name: &'static str,
        arguments: &[&str],
        operands: &[String],
        git_dir: Option<&Path>,
    ) -> Result<String, FetchError> {
        let mut command = self.command(Some(&self.url));
        if let Some(git_dir) = git_dir {
            command.env("GIT_DIR", git_dir);
        }
        command.args(arguments).args(operands).current_dir("/");
        self.finish(name, command).await
    }

    /// Runs git in a working tree, allowing the given protocols. It knows `origin` only if the tree does: submodules would
    /// take what the environment says for theirs.
    pub(super) async fn run_in(
        &self,
        name: &'static str,
        tree: &Path,
        arguments: &[&str],
        protocols: &str,
    ) -> Result<String, FetchError> {
        let mut command = self.command(None);
        command
            .args(arguments)
            .current_dir(tree)
            .env("GIT_ALLOW_PROTOCOL", protocols);
        self.finish(name, command).await
    }

    fn command(&self, origin: Option<&str>) -> Command {
        let mut command = Command::new("git");
        command.env_clear().envs(self.environment.iter().map(|(k, v)| (k, v)));
        let origin = origin.map(|url| ("remote.origin.url", url));
        let config = self.config.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let mut count = 0;
        for (number, (key, value)) in config.chain(origin).enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{number}"), key);
            command.env(format!("GIT_CONFIG_VALUE_{number}"), value);
            count = number + 1;
        }
        command.env("GIT_CONFIG_COUNT", count.to_string());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }

    async fn finish(&self, name: &'static str, mut command: Command) -> Result<String, FetchError> {
        let output = command.output().await.map_err(FetchError::NoGit)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(FetchError::Git {
            command: name,
            status: output.status.to_string(),
            message: self.last_words(&output.stderr),
        })
    }

    /// Returns the end of a message on one line, without credentials.
    fn last_words(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(MESSAGE)..]);
        let hidden = self
            .secrets
            .iter()
            .filter(|secret| !secret.is_empty())
            .fold(text.into_owned(), |text, secret| text.replace(secret.as_str(), "xxxxx"));
        let lines: Vec<&str> = hidden.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines.join("; ").replace(char::is_control, " ")
    }
}

/// Returns the header that carries a token, as every forge takes it.
pub(super) fn basic(token: &str) -> String {
    format!("basic {}", STANDARD.encode(format!("x-access-token:{token}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_control_characters_are_not_shown() {
        let mut git = Git::new(&[], "https://user:pass@example.com/x.git", None);
        git.authorize("https://example.com/", "basic c2VjcmV0");
        let said = b"fatal: https://user:pass@example.com/\nbasic c2VjcmV0 \x1b[2J";
        assert_eq!(git.last_words(said), "fatal: https://xxxxx@example.com/; xxxxx  [2J");
    }
}
