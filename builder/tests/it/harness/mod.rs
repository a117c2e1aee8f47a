//! What the integration tests stand on: a real registry, real base images, and `croze` run as an
//! unprivileged user with subordinate ids, from a pristine state directory.
//!
//! Nothing here skips: what is missing fails the test with the name of the script that installs it.

mod actions;
mod bare;
mod http;
mod lab;
mod registry;
pub(crate) mod s3;
mod scratch;
mod web;

pub(crate) use actions::{ActionsServer, RUNTIME_TOKEN};
pub(crate) use bare::BareMachine;
pub(crate) use http::serve;
pub(crate) use lab::{Lab, Outcome};
pub(crate) use registry::{Registry, base_registry};
pub(crate) use s3::S3Server;
pub(crate) use scratch::scratch;
pub(crate) use web::{Page, WebServer};

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// The user that builds: has subordinate ids and nothing else. `testdata/setup.sh` makes it.
pub(crate) const USER: &str = "croze-ci";

/// Returns the root of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// Runs a command of the test itself and returns its standard output.
///
/// # Panics
/// If it fails: with everything that it printed.
pub(crate) fn sh(script: &str) -> String {
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .output()
        .expect("bash runs");
    assert!(
        output.status.success(),
        "`{script}` failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns the OCI layout with the base images, made once by `testdata/base-images.sh`.
pub(crate) fn base_images() -> PathBuf {
    static LAYOUT: LazyLock<PathBuf> = LazyLock::new(|| {
        let layout =
            std::env::var_os("CROZE_TEST_IMAGES").map_or_else(|| workspace().join("target/base-images"), PathBuf::from);
        sh(&format!(
            "{}/testdata/base-images.sh '{}'",
            workspace().display(),
            layout.display()
        ));
        layout
    });
    LAYOUT.clone()
}

/// Returns a copy of the binary under test where every user can run it: the workspace may lie below a
/// home directory that is closed to others.
pub(crate) fn croze_binary() -> &'static Path {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
        let directory = scratch().join("bin");
        let binary = directory.join("croze");
        sh(&format!(
            "mkdir -p '{0}' && chmod 755 '{0}' && install -m 755 '{1}' '{2}'",
            directory.display(),
            env!("CARGO_BIN_EXE_croze"),
            binary.display()
        ));
        binary
    });
    &BINARY
}
