//! Debian's docker-registry on a free loopback port, with a directory of its own; it ends with the value.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const PROGRAM: &str = "/usr/bin/docker-registry";

/// `crypt("hunter2")` for htpasswd, which Debian ships apart from the registry.
const HTPASSWD: &str = "me:$2b$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.\n";

/// The certificate of `127.0.0.1` and its key.
pub(crate) const TLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/client/tls");

#[must_use]
pub(crate) struct DockerRegistry {
    child: Child,
    pub(crate) address: String,
    _storage: tempfile::TempDir,
}

impl DockerRegistry {
    /// Starts one that lets everybody in.
    pub(crate) fn open() -> Self {
        Self::start(|_| Vec::new())
    }

    /// Starts one for `me` with the password `hunter2`.
    pub(crate) fn with_password() -> Self {
        Self::start(|dir| {
            let htpasswd = dir.join("htpasswd");
            std::fs::write(&htpasswd, HTPASSWD).unwrap();
            vec![
                ("REGISTRY_AUTH", "htpasswd".to_owned()),
                ("REGISTRY_AUTH_HTPASSWD_REALM", "test".to_owned()),
                ("REGISTRY_AUTH_HTPASSWD_PATH", htpasswd.to_str().unwrap().to_owned()),
            ]
        })
    }

    /// Starts one that speaks TLS only, with a certificate of the test authority.
    pub(crate) fn with_tls() -> Self {
        Self::start(|_| {
            vec![
                ("REGISTRY_HTTP_TLS_CERTIFICATE", format!("{TLS}/server.pem")),
                ("REGISTRY_HTTP_TLS_KEY", format!("{TLS}/server.key")),
            ]
        })
    }

    fn start(settings: impl FnOnce(&Path) -> Vec<(&'static str, String)>) -> Self {
        let storage = tempfile::tempdir().unwrap();
        let config = storage.path().join("config.yml");
        let root = storage.path().join("storage");
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n\
             http:\n  addr: 127.0.0.1:0\n  secret: test\nlog:\n  level: info\n",
            root.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut child = Command::new(PROGRAM)
            .arg("serve")
            .arg(&config)
            .env_clear()
            .envs(settings(storage.path()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("these tests need {PROGRAM} (apt-get install docker-registry): {e}"));
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = String::new();
        let address = loop {
            let line = log.next().unwrap_or_else(|| panic!("{PROGRAM} ended: {seen}")).unwrap();
            if let Some((_, rest)) = line.split_once("listening on ") {
                let end = rest
                    .find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':')
                    .unwrap_or(rest.len());
                break rest[..end].trim_end_matches(',').to_owned();
            }
            seen.push_str(&line);
        };
        // Nobody reads the log, but a full pipe would stop the registry.
        std::thread::spawn(move || log.for_each(drop));
        Self {
            child,
            address,
            _storage: storage,
        }
    }

    /// Returns the reference of a repository and tag in it.
    pub(crate) fn reference(&self, name: &str) -> registry::oci::Reference {
        crate::fixtures::reference(&format!("{}/{name}", self.address))
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
