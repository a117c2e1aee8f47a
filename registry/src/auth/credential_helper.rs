//! Credential helpers: programs named `docker-credential-*` that keep passwords elsewhere.
//!
//! The protocol is Docker's: the verb is the argument, the registry or JSON comes on stdin, the answer on
//! stdout. A helper that knows nothing says so in words and fails, which is no error here.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::{Credential, CredentialsError, Secret};
use crate::text::one_line;

/// A helper may have to unlock a key store, but not forever.
const TIMEOUT: Duration = Duration::from_secs(60);

/// No answer is longer, in bytes.
const ANSWER_LIMIT: u64 = 1 << 20;

/// The user name by which a helper marks its secret as an identity token.
const TOKEN_USER: &str = "<token>";

/// A helper whose name has been checked.
pub(super) struct Helper<'a> {
    name: &'a str,
    search_path: Option<OsString>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(rename = "ServerURL", default)]
    server_url: String,
    username: String,
    secret: String,
}

impl<'a> Helper<'a> {
    /// Accepts a name that cannot leave the search path; `origin` is what names it.
    pub(super) fn new(name: &'a str, search_path: Option<&OsStr>, origin: &str) -> Result<Self, CredentialsError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if name.is_empty() || !name.chars().all(plain) {
            let (name, origin) = (one_line(name), origin.to_owned());
            return Err(CredentialsError::HelperName { name, origin });
        }
        Ok(Self {
            name,
            search_path: search_path.map(OsStr::to_owned),
        })
    }

    /// Asks for the credential of `key`; nothing when the helper has none.
    pub(super) async fn get(&self, key: &str) -> Result<Option<Credential>, CredentialsError> {
        let Some(output) = self.run("get", key.as_bytes()).await? else {
            return Ok(None);
        };
        parse(&output).map_err(|_| self.no_credential())
    }

    /// Hands a credential over for keeping.
    pub(super) async fn store(&self, key: &str, credential: &Credential) -> Result<(), CredentialsError> {
        let (username, secret) = match credential {
            Credential::Password { username, password } => (username.as_str(), password),
            Credential::IdentityToken(token) => (TOKEN_USER, token),
            Credential::RegistryToken(_) => return Err(CredentialsError::NotStorable),
        };
        let (server_url, username, secret) = (key.to_owned(), username.to_owned(), secret.expose().to_owned());
        let json = serde_json::to_vec(&Answer {
            server_url,
            username,
            secret,
        })
        .map_err(|_| self.no_credential())?;
        self.run("store", &json).await.map(drop)
    }

    /// Makes the helper forget `key`; tells whether it knew it.
    pub(super) async fn erase(&self, key: &str) -> Result<bool, CredentialsError> {
        Ok(self.run("erase", key.as_bytes()).await?.is_some())
    }

    /// Runs one verb; nothing when the helper says that it has no such credential.
    async fn run(&self, verb: &str, input: &[u8]) -> Result<Option<Vec<u8>>, CredentialsError> {
        let exchange = tokio::time::timeout(TIMEOUT, self.exchange(verb, input)).await;
        let (status, stdout, stderr) = exchange
            .map_err(|_| CredentialsError::HelperTimeout {
                name: self.name.to_owned(),
                seconds: TIMEOUT.as_secs(),
            })?
            .map_err(|source| CredentialsError::HelperRun {
                name: self.name.to_owned(),
                source,
            })?;
        if status.success() {
            return Ok(Some(stdout));
        }
        let said = String::from_utf8_lossy(if stdout.is_empty() { &stderr } else { &stdout }).into_owned();
        if said.contains("credentials not found") {
            return Ok(None);
        }
        let (name, message) = (self.name.to_owned(), one_line(&said));
        Err(CredentialsError::HelperFailed {
            name,
            status: status.to_string(),
            message,
        })
    }

    async fn exchange(&self, verb: &str, input: &[u8]) -> io::Result<(std::process::ExitStatus, Vec<u8>, Vec<u8>)> {
        let mut command = Command::new(format!("docker-credential-{}", self.name));
        command.arg(verb).kill_on_drop(true);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(path) = &self.search_path {
            command.env("PATH", path);
        }
        let mut child = command.spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let (mut answer, mut complaint) = (Vec::new(), Vec::new());
        let (mut stdout, mut stderr) = (stdout.take(ANSWER_LIMIT), stderr.take(ANSWER_LIMIT));
        let send = async move {
            // A helper that ends without reading says why on its own output.
            let _broken_pipe = stdin.write_all(input).await;
        };
        let (_, read, complained) = tokio::join!(
            send,
            stdout.read_to_end(&mut answer),
            stderr.read_to_end(&mut complaint)
        );
        read.and(complained)?;
        Ok((child.wait().await?, answer, complaint))
    }

    fn no_credential(&self) -> CredentialsError {
        CredentialsError::HelperAnswer {
            name: self.name.to_owned(),
        }
    }
}

/// Reads what a helper prints; nothing if it says so.
pub(super) fn parse(output: &[u8]) -> Result<Option<Credential>, serde_json::Error> {
    let answer: Answer = serde_json::from_slice(output)?;
    Ok(match (answer.username.as_str(), answer.secret) {
        ("", _) => None,
        (TOKEN_USER, token) => Some(Credential::IdentityToken(Secret::new(token))),
        (username, password) => Some(Credential::password(username, password)),
    })
}
