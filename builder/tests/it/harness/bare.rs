//! A machine on which nobody may make a namespace, and the building user has no privilege and can get none.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Lab, Outcome, USER, croze_binary};

/// A user namespace with the ids of the machine, in which no further one can be made; it ends with this.
pub(crate) struct BareMachine(Child);

impl BareMachine {
    pub(crate) fn new() -> Self {
        let holder = Command::new("unshare").args(["--user", "sleep", "600"]).spawn();
        let machine = Self(holder.expect("unshare runs"));
        let proc = PathBuf::from(format!("/proc/{}", machine.0.id()));
        let ours = fs::read_link("/proc/self/ns/user").expect("a namespace");
        while fs::read_link(proc.join("ns/user")).expect("a namespace") == ours {
            std::thread::sleep(Duration::from_millis(1));
        }
        for map in ["uid_map", "gid_map"] {
            fs::write(proc.join(map), "0 0 65536").expect("tests run as root");
        }
        machine
    }

    /// Runs `croze` with these words in the lab's directory, with a state directory of the machine's own.
    pub(crate) fn croze(&self, lab: &Lab, words: &[&str]) -> Outcome {
        let path = lab.path().display();
        let script = format!(
            "echo 0 > /proc/sys/user/max_user_namespaces
             exec setpriv --reuid={USER} --regid={USER} --init-groups --bounding-set=-all --inh-caps=-all \\
                 --no-new-privs -- env -i PATH=/usr/bin:/bin HOME={path}/home CROZE_ROOT={path}/state/bare \"$@\""
        );
        let target = self.0.id().to_string();
        let output = Command::new("nsenter")
            .args(["--target", &target, "--user", "--setuid=0", "--setgid=0"])
            .args(["sh", "-euc", &script, "sh"])
            .arg(croze_binary())
            .args(words.iter().map(|word| lab.fill(word)))
            .current_dir(lab.path())
            .stdin(Stdio::null())
            .output();
        Outcome::of(output.expect("nsenter runs"))
    }

    /// Builds the context with further words, which must succeed.
    pub(crate) fn build(&self, lab: &Lab, words: &[&str]) -> Outcome {
        let outcome = self.croze(lab, &[&["build", "--progress=plain", "context"], words].concat());
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        outcome
    }
}

impl Drop for BareMachine {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}
