//! The git command, with an environment of our own and nothing else.
//!
//! Configuration goes in through `GIT_CONFIG_…` variables: addresses and credentials are then in no argument list,
//! which every user of a machine can read. Git itself gives addresses to the programs that it starts as arguments: so it has
//! them without user and password, and asks for these.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::process::Command;

use crate::fetch::FetchError;
use crate::remote::percent_decoded;

/// The last bytes of what git says that are shown.
const MESSAGE: usize = 2000;

/// A credential helper (gitcredentials(7)) that knows one user and password, out of variables.
const HELPER: &str =
    r#"!f() { test "$1" = get && printf 'username=%s\npassword=%s\n' "$CROZE_GIT_USER" "$CROZE_GIT_PASSWORD"; }; f"#;

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
        let config = config.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut git = Self {
            url: url.to_owned(),
            environment,
            config: config.into(),
            secrets: Vec::new(),
        };
        if let Some(login) = Login::of(url) {
            git.log_in(login);
        }
        git
    }

    /// Takes user and password out of the address, and gives them to whatever of its host asks for them: submodules too.
    fn log_in(&mut self, login: Login) {
        let key = format!("credential.{}.helper", login.origin);
        self.config.push((key, HELPER.to_owned()));
        self.url = login.address;
        for (name, value) in [("CROZE_GIT_USER", &login.user), ("CROZE_GIT_PASSWORD", &login.password)] {
            self.environment.push((name.to_owned(), value.into()));
        }
        // Which is no secret, and a word of many messages.
        if login.text != "git" {
            self.secrets.push(login.text);
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

    /// Returns the address of the repository, without user and password.
    pub(super) fn url(&self) -> &str {
        &self.url
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

/// What an address of the web says of who asks.
struct Login {
    /// As the address has it.
    text: String,
    user: String,
    password: String,
    /// Scheme and host.
    origin: String,
    /// The address without it.
    address: String,
}

impl Login {
    /// Takes an address apart; `None` if it has no user.
    fn of(url: &str) -> Option<Self> {
        let (scheme @ ("http" | "https"), rest) = url.split_once("://")? else {
            return None;
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let (text, host) = authority.rsplit_once('@')?;
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        // To git a helper says one thing a line.
        let decoded = |text| percent_decoded(text).filter(|text| !text.contains(char::is_control));
        let origin = format!("{scheme}://{host}");
        Some(Self {
            text: text.to_owned(),
            user: decoded(user)?,
            password: decoded(password)?,
            address: format!("{origin}{path}"),
            origin,
        })
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

    #[test]
    fn user_and_password_are_taken_out_of_addresses_of_the_web() {
        let login = Login::of("https://me%40here:p%3A%2Fss@example.com:8443/x.git").unwrap();
        assert_eq!((login.user.as_str(), login.password.as_str()), ("me@here", "p:/ss"));
        assert_eq!(login.address, "https://example.com:8443/x.git");
        assert_eq!(login.origin, "https://example.com:8443");
        assert_eq!(Login::of("https://token@example.com/x.git").unwrap().user, "token");
        for none in [
            "https://example.com/x@y.git",
            "ssh://git@example.com/x.git",
            "https://a%0Ab:c@example.com/",
        ] {
            assert!(Login::of(none).is_none(), "{none}");
        }
    }
}
