//! Debian's docker-registry on a loopback port of its own.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, mpsc};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{base_images, scratch, sh};

/// A running registry with its own empty storage; it ends with the value, or with the thread that started it.
pub(crate) struct Registry {
    child: Child,
    address: SocketAddr,
    storage: TempDir,
}

impl Registry {
    /// Starts a registry.
    pub(crate) fn start() -> Self {
        Self::start_with(None)
    }

    /// Starts a registry that does nothing for who does not give this user's password.
    pub(crate) fn start_for(user: &str, password: &str) -> Self {
        Self::start_with(Some((user, password)))
    }

    fn start_with(account: Option<(&str, &str)>) -> Self {
        let storage = tempfile::Builder::new()
            .prefix("registry-")
            .tempdir_in(scratch())
            .expect("a temporary directory");
        let accounts = storage.path().join("accounts");
        let mut variables = Vec::new();
        if let Some((user, password)) = account {
            // Perl has the C library's crypt, and that the only hash which the registry takes.
            sh(&format!(
                "perl -e 'print \"{user}:\", crypt(\"{password}\", q($2b$04$abcdefghijklmnopqrstuu)), \"\\n\"' > {}",
                accounts.display()
            ));
            variables.extend([
                ("REGISTRY_AUTH", "htpasswd".into()),
                ("REGISTRY_AUTH_HTPASSWD_REALM", "test".into()),
                ("REGISTRY_AUTH_HTPASSWD_PATH", accounts.into_os_string()),
            ]);
        }
        let address = free_address();
        // The registry must not outlive the test, whatever ends it; `setpriv` asks the kernel for that.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "docker-registry", "serve", "/dev/stdin"])
            .env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", storage.path())
            .env("REGISTRY_HTTP_ADDR", address.to_string())
            .envs(variables)
            .stdin(config())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("`setpriv` and `docker-registry` are installed by testdata/setup.sh");
        let registry = Self {
            child,
            address,
            storage,
        };
        let patience = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            assert!(
                Instant::now() < patience,
                "docker-registry does not answer on {address}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    /// Returns `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Returns the directory of everything that the registry has.
    pub(crate) fn storage(&self) -> &Path {
        self.storage.path()
    }

    /// Ends the registry; its address refuses connections from now on.
    pub(crate) fn stop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_reaped = self.child.wait();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Returns the host of a registry that all tests share and that has `busybox:latest` and `debian:latest`.
///
/// Tests push to repositories of their own names only.
pub(crate) fn base_registry() -> &'static str {
    static SHARED: LazyLock<String> = LazyLock::new(|| {
        let (sender, receiver) = mpsc::channel();
        // The kernel kills the registry when the *thread* that started it ends: this one never does.
        std::thread::spawn(move || {
            let registry = Registry::start();
            for image in ["busybox", "debian"] {
                sh(&format!(
                    "skopeo copy -q --dest-tls-verify=false 'oci:{}:{image}' 'docker://{}/{image}:latest'",
                    base_images().display(),
                    registry.host()
                ));
            }
            let _nobody_waits = sender.send(registry.host());
            loop {
                std::thread::park();
            }
        });
        receiver.recv().expect("the shared registry starts")
    });
    &SHARED
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address")
}

/// The registry's own configuration file asks for a fixed port and Debian's storage: this is the least
/// that it accepts instead.
fn config() -> Stdio {
    let yaml = "version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: /nonexistent}, delete: {enabled: true}}\nhttp: {addr: 127.0.0.1:0}\n";
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    std::io::Write::write_all(&mut writer, yaml.as_bytes()).expect("a pipe holds a few lines");
    reader.into()
}
