//! Running one test again as another kind of process.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::Command;

use snapshotter::{Overlay, Root};

/// Names the test that the present process was started for.
const MARK: &str = "SNAPSHOTTER_TEST_RERUN";

/// Runs `body` in a process of this test binary that is started by `wrapper`, a command that runs its arguments.
///
/// In the test itself that starts the process and expects it to succeed; in the process it runs the body.
pub(crate) fn under(wrapper: &[&str], test: &str, body: impl FnOnce()) {
    if std::env::var(MARK).is_ok_and(|marked| marked == test) {
        return body();
    }
    let this = std::env::current_exe().unwrap();
    let output = Command::new(wrapper[0])
        .args(&wrapper[1..])
        .arg(this)
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

/// Runs `body` as root of a user namespace in which every id of an image is mapped to another one outside.
pub(crate) fn in_user_namespace(test: &str, body: impl FnOnce()) {
    let ids = "100000,0,65536";
    let wrapper = [
        "unshare",
        "--user",
        "--map-users",
        ids,
        "--map-groups",
        ids,
        "--setuid=0",
        "--setgid=0",
        "--mount",
        "--",
    ];
    under(&wrapper, test, body);
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
