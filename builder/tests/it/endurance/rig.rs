//! A build whose digest is known, and what has to hold after it was disturbed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::harness::{Lab, Outcome, sh};

/// Steps of all kinds; `MARK` tells their processes from those of others.
const DOCKERFILE: &str = "\
FROM BASE/busybox
COPY file /copied
RUN --mount=type=cache,target=/c : MARK; echo made | tee /made > /c/kept; chown -R 33:44 /made; sleep 0.05
WORKDIR /work
RUN : MARK; cat /copied /made > /last
";

/// A lab with a build of which every result is the same whenever it is made.
pub(super) struct Rig {
    pub(super) lab: Lab,
    /// Where the store is.
    pub(super) state: PathBuf,
}

impl Rig {
    /// Makes one with a store in the lab.
    pub(super) fn new() -> Self {
        let lab = Lab::new("");
        let state = lab.path().join("state");
        let rig = Self { lab, state };
        rig.dockerfile(DOCKERFILE);
        rig.content(0);
        rig
    }

    /// Replaces the Dockerfile.
    pub(super) fn dockerfile(&self, text: &str) {
        let text = self.lab.fill(text).replace("MARK", &self.mark());
        self.lab.write("Dockerfile", &text);
    }

    /// Goes back to the Dockerfile of [`Rig::new`].
    pub(super) fn own_dockerfile(&self) {
        self.dockerfile(DOCKERFILE);
    }

    /// Changes the context; what it is then depends on the number alone.
    pub(super) fn content(&self, number: usize) {
        self.lab.write("file", &format!("{number}\n").repeat(1000));
        let file = self.lab.context("file");
        sh(&format!("touch -d '{} hours ago' {}", number + 1, file.display()));
    }

    /// Waits until the context was last changed so long ago that digests of its files are remembered (two seconds).
    pub(super) fn settle(&self) {
        let changed = fs::metadata(self.lab.context("file")).unwrap().ctime();
        let settled = SystemTime::UNIX_EPOCH + Duration::from_millis(changed as u64 * 1000 + 3100);
        if let Ok(left) = settled.duration_since(SystemTime::now()) {
            std::thread::sleep(left);
        }
    }

    /// Returns the words of the build, with further ones.
    pub(super) fn words(&self, more: &[&str]) -> Vec<String> {
        let root = format!("--root={}", self.state.display());
        let own = [
            &root,
            "build",
            "--progress=plain",
            "--build-arg=SOURCE_DATE_EPOCH=1700000000",
            "--output=type=oci,dest=out,tar=false,rewrite-timestamp=true",
            "--metadata-file=metadata",
            "context",
        ];
        own.iter().chain(more).map(|word| (*word).to_owned()).collect()
    }

    /// Builds, with variables in the environment.
    pub(super) fn build(&self, variables: &[&str], more: &[&str]) -> Outcome {
        let words = self.words(more);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut command = self.lab.command_with(variables, &words);
        Outcome::of(command.stdin(Stdio::null()).output().unwrap())
    }

    /// Builds as what another program, which root runs, starts.
    pub(super) fn build_under(&self, program: &[&str], more: &[&str]) -> Outcome {
        let words = self.words(more);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let croze = self.lab.command(&words);
        let mut command = Command::new(program[0]);
        command
            .args(&program[1..])
            .arg(croze.get_program())
            .args(croze.get_args());
        command.current_dir(self.lab.path());
        Outcome::of(command.stdin(Stdio::null()).output().unwrap())
    }

    /// Builds, which must succeed, and returns the digest of the image.
    pub(super) fn digest(&self, more: &[&str]) -> String {
        for left in ["out", "metadata"] {
            sh(&format!("rm -rf {}", self.lab.path().join(left).display()));
        }
        let outcome = self.build(&[], more);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        // What was written is what its name says.
        let blobs = self.lab.path().join("out/blobs/sha256");
        sh(&format!(
            "cd {} && for blob in *; do echo \"$blob  $blob\"; done | sha256sum --quiet --strict -c",
            blobs.display()
        ));
        let metadata: Value = serde_json::from_slice(&fs::read(self.lab.path().join("metadata")).unwrap()).unwrap();
        metadata["containerimage.digest"].as_str().unwrap().to_owned()
    }

    /// Looks for damage.
    pub(super) fn verify(&self, words: &[&str]) -> Outcome {
        let root = format!("--root={}", self.state.display());
        self.lab.croze(&[&[root.as_str(), "verify"], words].concat())
    }

    /// Checks all that has to hold after a build was killed: no process of it lives, the next one gives the same image, the
    /// store is whole, and what was left is reclaimed.
    ///
    /// # Panics
    /// If not; `after` tells what was done.
    pub(super) fn recovers(&self, expected: &str, more: &[&str], after: &str) {
        self.has_no_process(after);
        assert_eq!(self.digest(more), expected, "{after}");
        self.is_tidy(after);
        let verified = self.verify(&[]);
        assert_eq!(verified.code, 0, "{after}: {}{}", verified.stdout, verified.stderr);
    }

    /// Checks that nothing unfinished is in the store while nobody uses it.
    pub(super) fn is_tidy(&self, after: &str) {
        let layout = self.state.join("v1");
        let left = sh(&format!(
            "cd {} && find run snap/_active snap/_trash -mindepth 1",
            layout.display()
        ));
        assert_eq!(left, "", "{after}");
    }

    /// Checks that no process of a build is there a second after its death, or three where a machine is busy.
    pub(super) fn has_no_process(&self, after: &str) {
        let patience = Instant::now() + Duration::from_secs(3);
        loop {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < patience, "{after}: {left:?} live on");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The lab's name, which no other process has in its words or variables.
    fn mark(&self) -> String {
        self.lab.path().file_name().unwrap().to_str().unwrap().to_owned()
    }

    fn processes(&self) -> Vec<String> {
        let mark = self.mark();
        let tells = |process: &Path| {
            let read = |name| String::from_utf8_lossy(&fs::read(process.join(name)).unwrap_or_default()).into_owned();
            let words = read("cmdline");
            (words.contains(&mark) || read("environ").contains(&mark)).then(|| words.replace('\0', " "))
        };
        let entries = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        entries.filter_map(|process| tells(&process)).collect()
    }
}
