//! The environment of the process: the only place that reads it.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use registry::auth::{Credentials, Secret};

use super::args::ColorChoice;

/// What the environment says.
#[derive(Clone, Debug)]
pub(super) struct Environment {
    variables: fn(&str) -> Option<OsString>,
}

impl Environment {
    /// The environment of this process.
    pub(super) fn of_process() -> Self {
        Self {
            variables: |name| std::env::var_os(name),
        }
    }

    /// Returns a variable that means something to croze or to a tool; an empty one counts as unset.
    pub(super) fn get(&self, name: &str) -> Option<OsString> {
        self.given(name).filter(|value| !value.is_empty())
    }

    /// Returns a variable that the user has named, even an empty one.
    pub(super) fn given(&self, name: &str) -> Option<OsString> {
        (self.variables)(name)
    }

    /// Returns a variable as text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.into_string().ok()
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    /// Tells whether this is a job of GitHub Actions.
    pub(super) fn is_github(&self) -> bool {
        self.text("GITHUB_ACTIONS").as_deref() == Some("true")
    }

    /// Tells whether this is a job of GitLab.
    pub(super) fn is_gitlab(&self) -> bool {
        self.text("GITLAB_CI").as_deref() == Some("true")
    }

    /// Returns where GitHub's runner has the repository.
    pub(super) fn github_workspace(&self) -> Option<PathBuf> {
        self.path("GITHUB_WORKSPACE")
    }

    /// Returns the state directory: `$XDG_DATA_HOME/croze`, else `~/.local/share/croze`.
    pub(super) fn state_directory(&self) -> Option<PathBuf> {
        let data = self.path("XDG_DATA_HOME").filter(|path| path.is_absolute());
        let data = data.or_else(|| Some(self.path("HOME")?.join(".local/share")))?;
        Some(data.join("croze"))
    }

    /// Returns the `config.json` that `croze login` writes: Docker's.
    pub(super) fn docker_config(&self) -> Option<PathBuf> {
        let directory = self
            .path("DOCKER_CONFIG")
            .or_else(|| Some(self.path("HOME")?.join(".docker")))?;
        Some(directory.join("config.json"))
    }

    /// Returns the user's directory of Podman's and buildah's settings.
    pub(super) fn containers_config(&self) -> Option<PathBuf> {
        let config = self.path("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
        let config = config.or_else(|| Some(self.path("HOME")?.join(".config")))?;
        Some(config.join("containers"))
    }

    /// Returns the `registries.conf` that is named for all tools that read one.
    pub(super) fn registries_conf(&self) -> Option<PathBuf> {
        self.path("CONTAINERS_REGISTRIES_CONF")
    }

    /// Returns where credentials are looked for, the most explicit place first.
    pub(super) fn credentials(&self) -> Credentials {
        let mut credentials = Credentials::anonymous();
        if let Some(json) = self.text("DOCKER_AUTH_CONFIG") {
            credentials = credentials.with_inline("DOCKER_AUTH_CONFIG", Secret::new(json));
        }
        let podman = self
            .path("XDG_RUNTIME_DIR")
            .map(|directory| directory.join("containers/auth.json"));
        let files = [self.path("REGISTRY_AUTH_FILE"), self.docker_config(), podman];
        files
            .into_iter()
            .flatten()
            .fold(credentials, |credentials, file| credentials.with_file(file))
    }

    /// Returns all that git, and the ssh client that it starts, may see: where programs are, proxies, certificates,
    /// and the hosts that the user knows.
    pub(super) fn for_git(&self) -> Vec<(String, OsString)> {
        const NAMES: [&str; 3] = ["PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"];
        let known_hosts = self.path("HOME").map(|home| home.join(".ssh/known_hosts"));
        let ssh = match known_hosts.as_deref().and_then(Path::to_str) {
            // Quoted for the shell that git starts ssh with.
            Some(path) if !path.contains(['\'', '"', ' ']) => {
                format!("ssh -F /dev/null -o BatchMode=yes -o 'UserKnownHostsFile={path}'")
            }
            _ => "ssh -F /dev/null -o BatchMode=yes".to_owned(),
        };
        let own = NAMES
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), self.get(name)?)));
        let proxies = self.proxies().into_iter().map(|(name, value)| (name, value.into()));
        own.chain(proxies)
            .chain([("GIT_SSH_COMMAND".to_owned(), ssh.into())])
            .collect()
    }

    /// Returns whether to use colours on a stream.
    pub(super) fn colored(&self, choice: ColorChoice) -> bool {
        match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if self.get("NO_COLOR").is_some() => false,
            ColorChoice::Auto if self.get("CLICOLOR_FORCE").is_some() => true,
            ColorChoice::Auto => std::io::stderr().is_terminal() && self.text("TERM").as_deref() != Some("dumb"),
        }
    }

    /// Returns the proxy variables that `RUN` steps inherit, in upper and lower case.
    pub(super) fn proxies(&self) -> Vec<(String, String)> {
        const NAMES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];
        let spellings = NAMES.iter().flat_map(|name| [(*name).to_owned(), name.to_lowercase()]);
        spellings
            .filter_map(|name| Some((name.clone(), self.text(&name)?)))
            .collect()
    }
}

/// Makes a path absolute without resolving its links: messages show what the user typed.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
