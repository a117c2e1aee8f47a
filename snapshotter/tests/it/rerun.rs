//! Running one test again as another kind of process.

use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use snapshotter::{Overlay, Root};

/// Names the test that the present process was started for.
const MARK: &str = "SNAPSHOTTER_TEST_RERUN";

/// Runs `body` in a process of this test binary that is started by `wrapper`, a command that runs its arguments.
///
/// In the test itself that starts the process and expects it to succeed; in the process it runs the body.
pub(crate) fn under(wrapper: &[&str], test: &str, body: impl FnOnce()) {
    if is_rerun(test) {
        return body();
    }
    expect_success(wrapper, &std::env::current_exe().unwrap(), test);
}

/// Runs `body` as root of a user namespace in which every id of an image is mapped to another one outside.
pub(crate) fn in_user_namespace(test: &str, body: impl FnOnce()) {
    if is_rerun(test) {
        return body();
    }
    // The namespace's root is nobody outside.
    let public = PublicBinary::new();
    let holder = Holder(
        Command::new("unshare")
            .args(["--user", "sleep", "600"])
            .spawn()
            .unwrap(),
    );
    let proc = PathBuf::from(format!("/proc/{}", holder.0.id()));
    let ours = fs::read_link("/proc/self/ns/user").unwrap();
    while fs::read_link(proc.join("ns/user")).unwrap() == ours {
        std::thread::sleep(Duration::from_millis(1));
    }
    for map in ["uid_map", "gid_map"] {
        fs::write(proc.join(map), "0 100000 65536").expect("writing a map of many ids takes root");
    }
    let target = holder.0.id().to_string();
    let enter = [
        "nsenter", "--target", &target, "--user", "--setuid", "0", "--setgid", "0", "unshare", "--mount",
    ];
    expect_success(&enter, &public.path, test);
}

/// Runs `body` as a user who has no capability and can get none.
pub(crate) fn as_plain_user(test: &str, body: impl FnOnce()) {
    if is_rerun(test) {
        return body();
    }
    let public = PublicBinary::new();
    let drop = [
        "setpriv",
        "--reuid=1000",
        "--regid=1000",
        "--clear-groups",
        "--bounding-set=-all",
        "--inh-caps=-all",
        "--no-new-privs",
    ];
    expect_success(&drop, &public.path, test);
}

/// A copy of this test binary that everybody may read.
struct PublicBinary {
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl PublicBinary {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(directory.path(), readable).unwrap();
        let path = directory.path().join("it");
        fs::copy(std::env::current_exe().unwrap(), &path).unwrap();
        Self {
            path,
            _directory: directory,
        }
    }
}

/// A process that keeps a namespace alive, until the test is over, however it ends.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// Returns whether this process was started to run the body of a test.
fn is_rerun(test: &str) -> bool {
    std::env::var(MARK).is_ok_and(|marked| marked == test)
}

fn expect_success(wrapper: &[&str], binary: &Path, test: &str) {
    let output = Command::new(wrapper[0])
        .args(&wrapper[1..])
        .arg(binary)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(MARK, test)
        .output()
        .unwrap_or_else(|error| panic!("cannot start `{}`: {error}", wrapper[0]));
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{test} under {wrapper:?}:\n{text}");
    // A name that no test has would succeed by running nothing.
    assert!(
        text.contains("1 passed"),
        "{test} did not run under {wrapper:?}:\n{text}"
    );
}

/// A mounted overlay with a path of its own, for as long as it is held.
pub(crate) struct Mounted {
    pub(crate) fd: OwnedFd,
}

impl Mounted {
    pub(crate) fn new(overlay: &Overlay) -> Self {
        Self {
            fd: overlay
                .mount()
                .unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error))),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/.", self.fd.as_raw_fd()))
    }

    pub(crate) fn root(&self) -> Root {
        Root::from_fd(self.fd.try_clone().unwrap())
    }
}
