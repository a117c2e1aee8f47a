//! Where tests keep their files: a directory for each process, removed when the process ends, however it ends.
//!
//! Statics are never dropped, and a killed process drops nothing. So another process waits for the end of this one and
//! removes what it has left. What even that leaves, because the machine was switched off, the next run removes.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

/// Where the directories of all processes are: on a disk, and open to every user.
const ALL: &str = "/var/tmp/croze-tests";

/// Waits for the end of standard input and removes directories, with what is mounted in them.
const REMOVE: &str = r#"cat
for directory; do
    cut -d ' ' -f 2 /proc/mounts | grep "^$directory/" | sort -r | xargs -r -n 1 umount -l
    rm -rf --one-file-system "$directory"
done"#;

/// Returns this process's directory.
pub(crate) fn scratch() -> &'static Path {
    static SCRATCH: LazyLock<(PathBuf, Child)> = LazyLock::new(|| {
        let all = Path::new(ALL);
        fs::create_dir_all(all).expect("a directory for tests");
        // It may be somebody else's, who has then done so.
        let _shared = fs::set_permissions(all, fs::Permissions::from_mode(0o1777));
        remove(&left().expect("the directories of other runs"), Stdio::null())
            .wait()
            .expect("the end of `sh`");
        let own = all.join(std::process::id().to_string());
        fs::create_dir(&own).expect("a directory of this run");
        fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).expect("a mode");
        // The pipe breaks with this process.
        let remover = remove(std::slice::from_ref(&own), Stdio::piped());
        (own, remover)
    });
    &SCRATCH.0
}

/// Returns the directories whose processes have ended.
fn left() -> io::Result<Vec<PathBuf>> {
    let mut left = Vec::new();
    for entry in fs::read_dir(ALL)? {
        let entry = entry?;
        if !Path::new("/proc").join(entry.file_name()).exists() {
            left.push(entry.path());
        }
    }
    Ok(left)
}

fn remove(directories: &[PathBuf], until: Stdio) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", REMOVE, "sh"]).args(directories);
    // Out of reach of a ^C.
    command.process_group(0);
    command.stdin(until).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("`sh` runs")
}
