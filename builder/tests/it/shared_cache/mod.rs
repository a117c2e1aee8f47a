//! Caches that machines share: each state directory stands for a machine of its own.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{Lab, Outcome, Registry, sh};

mod damage;
mod directory;
mod inline;
mod inventory;
mod mounts;
mod objects;
mod registry;
mod transfers;

/// A step that gives something else whenever it runs.
const UNIQUE: &str = "cat /proc/sys/kernel/random/uuid > /unique";

/// Machines with one context, and a directory for the state of each.
struct Machines {
    lab: Lab,
}

impl Machines {
    fn new(dockerfile: &str) -> Self {
        Self {
            lab: Lab::new(dockerfile),
        }
    }

    /// Changes the Dockerfile.
    fn edit(&self, dockerfile: &str) {
        self.lab.write("Dockerfile", &self.lab.fill(dockerfile));
    }

    /// Builds on a machine, which must succeed; returns what was shown.
    fn build(&self, machine: &str, words: &[&str]) -> String {
        self.lab.build(&[&["--root", machine], words].concat()).stderr
    }

    /// Builds on a machine.
    fn croze(&self, machine: &str, words: &[&str]) -> Outcome {
        let build = ["build", "--progress=plain", "context", "--root", machine];
        self.lab.croze(&[&build, words].concat())
    }

    /// The same with variables in its environment.
    fn croze_with(&self, variables: &[&str], machine: &str, words: &[&str]) -> Outcome {
        let build = ["build", "--progress=plain", "context", "--root", machine];
        let mut command = self.lab.command_with(variables, &[&build, words].concat());
        Outcome::of(command.stdin(std::process::Stdio::null()).output().unwrap())
    }

    /// Builds files on a machine, and returns one of them.
    fn file(&self, machine: &str, name: &str, words: &[&str]) -> String {
        self.files(machine, words);
        self.read(machine, name)
    }

    /// Builds files on a machine; returns what was shown.
    fn files(&self, machine: &str, words: &[&str]) -> String {
        let out = format!("out-{machine}");
        if self.path(&out).exists() {
            fs::remove_dir_all(self.path(&out)).unwrap();
        }
        self.build(machine, &[&["-o", &out], words].concat())
    }

    /// Reads a file that a machine has built.
    fn read(&self, machine: &str, name: &str) -> String {
        let path = self.path(&format!("out-{machine}")).join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Returns what a machine would do, and whether it would run nothing.
    fn plan(&self, machine: &str, words: &[&str]) -> (String, bool) {
        let outcome = self.croze(machine, &[&["--plan"], words].concat());
        assert!([0, 11].contains(&outcome.code), "{}", outcome.stderr);
        (outcome.stdout, outcome.code == 0)
    }

    /// Pushes the image from a machine and returns its digest.
    fn push(&self, machine: &str, tag: &str, words: &[&str]) -> String {
        self.build(machine, &[&["-t", tag, "--push"], words].concat());
        digest(tag)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.lab.path().join(name)
    }

    /// Returns how many blobs of a layer's size a machine has, and how many snapshots.
    fn holds(&self, machine: &str) -> (usize, usize) {
        let state = self.path(machine).join("v1");
        let count = |command: String| sh(&command).trim().parse().unwrap();
        (
            count(format!(
                "find {0}/blobs -type f -exec sh -c 'head -c 2 \"$1\" | grep -q \"^{{\" || echo x' - {{}} \\; | wc -l",
                state.display()
            )),
            count(format!(
                "find {}/snap -mindepth 1 -maxdepth 1 ! -name '_*' | wc -l",
                state.display()
            )),
        )
    }
}

/// Returns the digest of an image in a registry.
fn digest(tag: &str) -> String {
    let inspect = "skopeo inspect --tls-verify=false --raw";
    sh(&format!("{inspect} docker://{tag} | sha256sum | cut -d' ' -f1"))
        .trim()
        .to_owned()
}

/// Returns a manifest in a registry.
fn manifest(tag: &str) -> Value {
    serde_json::from_str(&sh(&format!("skopeo inspect --tls-verify=false --raw docker://{tag}"))).unwrap()
}

/// Returns the tags of a repository.
fn tags(repository: &str) -> Vec<String> {
    let list = sh(&format!("skopeo list-tags --tls-verify=false docker://{repository}"));
    let list: Value = serde_json::from_str(&list).unwrap();
    let tags = list["Tags"].as_array().unwrap().iter();
    tags.map(|tag| tag.as_str().unwrap().to_owned()).collect()
}

/// Returns the file in which a registry keeps a blob or manifest.
fn stored(registry: &Registry, digest: &str) -> PathBuf {
    let hex = digest.trim_start_matches("sha256:");
    let blobs = Path::new("docker/registry/v2/blobs/sha256");
    registry.storage().join(blobs).join(&hex[..2]).join(hex).join("data")
}
