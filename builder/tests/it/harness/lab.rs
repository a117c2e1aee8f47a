//! One test's own directory: a context, a state directory, and `croze` run in it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{USER, base_registry, croze_binary, scratch, sh};

/// A directory that belongs to the building user, with `context/` and a pristine `state/`.
pub(crate) struct Lab {
    directory: TempDir,
    owner: (u32, u32),
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Its exit code; 128 + n if signal n ended it.
    pub code: i32,
    /// What it printed on standard output.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
}

impl Lab {
    /// Makes an empty context with this Dockerfile. `BASE` in it becomes the shared registry's host.
    pub(crate) fn new(dockerfile: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("lab-")
            .tempdir_in(scratch())
            .expect("a directory");
        let id = |option: &str| sh(&format!("id {option} {USER}")).trim().parse().expect("an id");
        let lab = Self {
            directory,
            owner: (id("-u"), id("-g")),
        };
        lab.own(lab.path());
        for part in ["context", "state", "home"] {
            fs::create_dir(lab.path().join(part)).expect("a directory of the test");
            lab.own(&lab.path().join(part));
        }
        lab.write("Dockerfile", &lab.fill(dockerfile));
        lab
    }

    /// Returns the test's directory.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Returns a path below the context.
    pub(crate) fn context(&self, path: &str) -> PathBuf {
        self.path().join("context").join(path)
    }

    /// Writes a file of the context, parents made, owned by the building user.
    pub(crate) fn write(&self, path: &str, content: &str) -> &Self {
        let path = self.context(path);
        let mut parent = PathBuf::new();
        for part in path.parent().expect("a parent").components() {
            parent.push(part);
            if !parent.exists() {
                fs::create_dir(&parent).expect("a directory of the context");
                self.own(&parent);
            }
        }
        fs::write(&path, content).expect("a file of the context");
        self.own(&path);
        self
    }

    /// Replaces `BASE/` by the shared registry's host and a slash.
    pub(crate) fn fill(&self, text: &str) -> String {
        if text.contains("BASE/") {
            text.replace("BASE/", &format!("{}/", base_registry()))
        } else {
            text.to_owned()
        }
    }

    /// Runs `croze` with these words as the building user and waits for it.
    pub(crate) fn croze(&self, words: &[&str]) -> Outcome {
        let output = self.command(words).stdin(Stdio::null()).output().expect("setpriv runs");
        Outcome::of(output)
    }

    /// Returns the command that runs `croze` as the building user, with a clean environment.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        self.command_with(&[], words)
    }

    /// The same, with variables `NAME=VALUE` in its environment.
    pub(crate) fn command_with(&self, variables: &[&str], words: &[&str]) -> Command {
        self.command_of(croze_binary(), variables, words)
    }

    /// The same for another program.
    pub(crate) fn command_of(&self, program: &Path, variables: &[&str], words: &[&str]) -> Command {
        // `setpriv` becomes croze instead of waiting for it, so the child's pid is croze's.
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid",
            USER,
            "--regid",
            USER,
            "--init-groups",
            "--inh-caps=-all",
            "--",
            "env",
            "-i",
        ]);
        command.arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.arg(format!("HOME={}", self.path().join("home").display()));
        command.arg(format!("CROZE_ROOT={}", self.path().join("state").display()));
        command.args(variables).arg(program);
        command.args(words.iter().map(|word| self.fill(word)));
        command.current_dir(self.path());
        command
    }

    /// Builds the context with further words, which must succeed.
    ///
    /// # Panics
    /// If it fails: with everything that it printed.
    pub(crate) fn build(&self, words: &[&str]) -> Outcome {
        let outcome = self.croze(&[&["build", "--progress=plain", "context"], words].concat());
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        outcome
    }

    /// Builds into a directory and returns its path.
    pub(crate) fn build_files(&self, words: &[&str]) -> PathBuf {
        let out = self.path().join("out");
        if out.exists() {
            fs::remove_dir_all(&out).expect("the previous output");
        }
        self.build(&[&["-o", "out"], words].concat());
        out
    }

    fn own(&self, path: &Path) {
        chown(path, Some(self.owner.0), Some(self.owner.1)).expect("tests run as root");
        if path.is_dir() {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Snapshots belong to subordinate ids; the tests are root and may remove them.
        let _left_to_the_reboot = fs::remove_dir_all(self.path());
    }
}

impl Outcome {
    /// Reads how a process ended.
    pub(crate) fn of(output: std::process::Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        Self {
            code: output
                .status
                .code()
                .unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Checks that the command failed with this code and said each of these.
    ///
    /// # Panics
    /// If it did not: with everything that it printed.
    pub(crate) fn fails(&self, code: i32, said: &[&str]) {
        assert_eq!(self.code, code, "{}", self.stderr);
        for text in said {
            // What the C library says of an error number begins with a capital.
            let is_said = self.stderr.to_lowercase().contains(&text.to_lowercase());
            assert!(is_said, "`{text}` is not in:\n{}", self.stderr);
        }
    }
}
