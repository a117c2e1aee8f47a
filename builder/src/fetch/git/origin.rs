//! Where a directory of this machine was checked out from, as its repository says.

use std::path::Path;

use super::command::Git;
use crate::fetch::Fetcher;
use crate::remote::masked;

/// No protocol: nothing is asked of anybody.
const NO_PROTOCOL: &str = "none";

/// What a working tree says of itself; nobody has checked that its files are those of the commit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CheckedOut {
    /// The repository that it was cloned from, without a user and password.
    pub repository: Option<String>,
    /// The commit, by its whole name.
    pub commit: Option<String>,
}

impl Fetcher {
    /// Returns where a directory was checked out from; nothing if it was not, or git is not there to tell.
    pub async fn checked_out(&self, directory: &Path) -> CheckedOut {
        let git = Git::new(&self.environment, "", None);
        let ask = async |arguments: &[&str]| {
            let said = git.run_in("config", directory, arguments, NO_PROTOCOL).await;
            said.unwrap_or_default()
        };
        let commit = ask(&["rev-parse", "--verify", "--quiet", "HEAD"]).await;
        let remotes = ask(&["config", "--local", "--get-regexp", r"^remote\..*\.url$"]).await;
        CheckedOut {
            repository: repository(&remotes).map(masked),
            commit: Some(commit.trim().to_owned()).filter(|commit| !commit.is_empty()),
        }
    }
}

/// Chooses among the lines `remote.<name>.url <url>`: `origin`, else the first.
pub(super) fn repository(remotes: &str) -> Option<&str> {
    let remotes = || remotes.lines().filter_map(|line| line.split_once(' '));
    let origin = remotes().find(|(key, _)| *key == "remote.origin.url");
    Some(origin.or_else(|| remotes().next())?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_comes_from_its_origin() {
        let remotes = "remote.fork.url https://example.com/fork\nremote.origin.url https://example.com/x y\n";
        assert_eq!(repository(remotes), Some("https://example.com/x y"));
        assert_eq!(
            repository("remote.fork.url git@example.com:fork\n"),
            Some("git@example.com:fork")
        );
        assert_eq!(repository(""), None);
    }
}
