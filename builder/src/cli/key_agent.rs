//! An `ssh-agent` of croze's own for the keys that `--ssh` names: steps ask it, and no step ever sees a key.
//!
//! The keys stay readable only to the user's own `ssh-add`; nothing of them passes through this process.

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// Adds each key from its file, says so, and ends the agent when the other end of standard input is closed:
/// which happens however croze ends. From standard input, `ssh-add` does not mind the mode of the file.
const SCRIPT: &str = r#"
trap 'kill "$SSH_AGENT_PID"' EXIT
for key; do
    ssh-add -q - <"$key" || exit 1
done
echo ready
cat
"#;

/// The name of the socket in its directory.
const SOCKET: &str = "agent";

/// A running agent; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct KeyAgent {
    directory: TempDir,
    process: Child,
}

/// Why no agent holds the keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyAgentError {
    /// There is no place for the socket.
    #[error("cannot make a directory for the agent's socket")]
    Directory(#[source] io::Error),
    /// OpenSSH is not installed.
    #[error("cannot run `ssh-agent`")]
    Program(#[source] io::Error),
    /// A key is none, or has a passphrase.
    #[error("{0}")]
    Refused(String),
}

impl KeyAgent {
    /// Starts an agent with these keys.
    pub(super) fn start(keys: &[PathBuf], path: Option<OsString>) -> Result<Self, KeyAgentError> {
        let directory = tempfile::tempdir().map_err(KeyAgentError::Directory)?;
        let mut command = Command::new("ssh-agent");
        command.env_clear().envs(path.map(|path| ("PATH", path)));
        // Nobody is asked for a passphrase.
        command.env("SSH_ASKPASS_REQUIRE", "force").env("SSH_ASKPASS", "false");
        command.arg("-a").arg(directory.path().join(SOCKET));
        command.args(["sh", "-c", SCRIPT, "sh"]).args(keys);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // A terminal's interrupt is for croze: what still runs may go on asking.
        command.process_group(0);
        let mut process = command.spawn().map_err(KeyAgentError::Program)?;
        let mut said = String::new();
        if let Some(out) = process.stdout.as_mut() {
            let _silent = BufReader::new(out).read_line(&mut said);
        }
        let mut agent = Self { directory, process };
        if said == "ready\n" {
            Ok(agent)
        } else {
            Err(KeyAgentError::Refused(agent.complaint()))
        }
    }

    /// Returns the agent's socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.directory.path().join(SOCKET)
    }

    /// Returns what the agent, which has ended, said last.
    fn complaint(&mut self) -> String {
        let mut text = String::new();
        if let Some(errors) = self.process.stderr.as_mut() {
            let _unreadable = errors.read_to_string(&mut text);
        }
        match text.lines().rfind(|line| !line.trim().is_empty()) {
            Some(line) => line.trim().replace(char::is_control, " "),
            None => "the key may have a passphrase".to_owned(),
        }
    }
}

impl Drop for KeyAgent {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _reaped = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn keygen(directory: &Path, name: &str, passphrase: &str) -> PathBuf {
        let key = directory.join(name);
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", passphrase, "-f"]).arg(&key);
        assert!(command.status().unwrap().success());
        key
    }

    fn start(keys: &[PathBuf]) -> Result<KeyAgent, KeyAgentError> {
        KeyAgent::start(keys, std::env::var_os("PATH"))
    }

    #[test]
    fn an_agent_holds_all_keys_until_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let keys = [keygen(directory.path(), "a", ""), keygen(directory.path(), "b", "")];
        let agent = start(&keys).unwrap();
        let list = |socket: &Path| {
            let mut command = Command::new("ssh-add");
            let output = command.arg("-l").env("SSH_AUTH_SOCK", socket).output().unwrap();
            String::from_utf8_lossy(&output.stdout).lines().count()
        };
        let socket = agent.socket();
        assert_eq!(list(&socket), 2);
        drop(agent);
        assert_eq!(list(&socket), 0);
        assert!(!socket.exists());
    }

    #[test]
    fn what_is_no_key_or_has_a_passphrase_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let locked = keygen(directory.path(), "locked", "secret");
        let none = directory.path().join("none");
        std::fs::write(&none, "no key\n").unwrap();
        for key in [locked, none, directory.path().join("absent")] {
            assert!(matches!(start(&[key]), Err(KeyAgentError::Refused(_))));
        }
    }
}
