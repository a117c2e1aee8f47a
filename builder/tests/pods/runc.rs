//! Running a command in a pod, with Debian's runc.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use crate::harness::{Outcome, sh};
use crate::pod::Pod;

/// What the pod's root file system lies on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RootOn {
    /// An overlay, as with every container runtime of today.
    Overlay,
    /// A directory of the disk.
    Disk,
}

/// In the pod: an `emptyDir` on the disk.
pub(crate) const DISK: &str = "/work/e";
/// In the pod: an `emptyDir` in memory.
pub(crate) const MEMORY: &str = "/work/t";
/// In the pod: a directory of its root file system that is its user's.
pub(crate) const OWN: &str = "/work/o";

/// A pod's files on the host, until it is dropped.
pub(crate) struct Files {
    dir: TempDir,
    is_mounted: bool,
}

impl Files {
    /// Copies the image of a pod and lays out its volumes.
    pub(crate) fn new(pod: &Pod, root_on: RootOn) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("croze-pod-")
            .tempdir_in("/var/tmp")
            .unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let files = Self {
            dir,
            is_mounted: root_on == RootOn::Overlay,
        };
        let (image, first) = (files.path("image"), pod.first_id());
        sh(&format!("cp -a '{}' '{}'", image_root().display(), image.display()));
        for kind in ["subuid", "subgid"] {
            fs::write(image.join("etc").join(kind), pod.subordinate_ids()).unwrap();
        }
        if first != 0 {
            sh(&format!("chown -hR {first}:{first} '{}'", image.display()));
        }
        // After the owner, which takes them away; as a container runtime would, for root of the pod's namespace.
        for (program, capability) in [("newuidmap", "cap_setuid"), ("newgidmap", "cap_setgid")] {
            sh(&format!(
                "setcap -n {first} {capability}+ep '{}/croze/{program}'",
                image.display()
            )
            .replace("-n 0 ", ""));
        }
        for name in ["disk", "memory", "root", "upper", "work"] {
            fs::create_dir(files.path(name)).unwrap();
        }
        sh(&format!("mount -t tmpfs tmpfs '{}'", files.path("memory").display()));
        if files.is_mounted {
            chown(files.path("upper"), Some(first), Some(first)).unwrap();
            sh(&format!(
                "mount -t overlay overlay -o 'lowerdir={0}/image,upperdir={0}/upper,workdir={0}/work' '{0}/root'",
                files.dir.path().display()
            ));
        }
        let owner = Some(first + pod.uid);
        for volume in [files.path("disk"), files.path("memory"), files.root().join(&OWN[1..])] {
            chown(&volume, owner, owner).unwrap();
            fs::set_permissions(&volume, fs::Permissions::from_mode(0o777)).unwrap();
        }
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Returns the pod's root file system.
    fn root(&self) -> PathBuf {
        self.path(if self.is_mounted { "root" } else { "image" })
    }

    /// Writes a file where everybody in the pod can read it.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Runs a shell script in the pod.
    pub(crate) fn run(&self, pod: &Pod, script: &str) -> Outcome {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let id = format!(
            "croze-pod-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let mut config = pod.configuration();
        config["root"]["path"] = self.root().display().to_string().into();
        config["process"]["args"] = serde_json::json!(["/bin/sh", "-c", script]);
        config["linux"]["cgroupsPath"] = format!("/{id}").into();
        for mount in config["mounts"].as_array_mut().unwrap() {
            if let Some(volume) = mount["source"].as_str().unwrap().strip_prefix("volume:") {
                mount["source"] = self.path(volume).display().to_string().into();
            }
        }
        fs::write(self.path("config.json"), config.to_string()).unwrap();
        let output = Command::new("runc")
            .args(["run", "--bundle"])
            .arg(self.dir.path())
            .arg(&id)
            .stdin(Stdio::null())
            .output()
            .expect("`runc` is installed by testdata/setup.sh");
        Outcome::of(output)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for name in ["root", "memory"] {
            // What is not mounted need not be unmounted.
            let _status = Command::new("umount")
                .arg("-l")
                .arg(self.path(name))
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// The image of every pod: croze with its libraries, the programs that write id maps, and busybox.
fn image_root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let root = std::env::temp_dir().join(format!("croze-pod-image-{}", std::process::id()));
        for dir in [
            "bin", "croze", "etc", "proc", "dev", "sys", "tmp", "work/e", "work/t", "work/o",
        ] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
        for applet in ["sh", "cat", "echo", "id", "ls", "mkdir", "mount", "ps", "sleep", "test"] {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        for (name, text) in [
            (
                "passwd",
                "root:x:0:0::/root:/bin/sh\nbuilder:x:1000:1000::/tmp:/bin/sh\n",
            ),
            ("group", "root:x:0:\nbuilder:x:1000:\n"),
            ("hosts", "127.0.0.1 localhost\n"),
            ("resolv.conf", ""),
        ] {
            fs::write(root.join("etc").join(name), text).unwrap();
        }
        // With its debug information it would be three times as large.
        sh(&format!(
            "cd '{root}'; strip -o croze/croze '{croze}'; cp /usr/bin/newuidmap /usr/bin/newgidmap croze/; chmod 755 croze/*; \
             for library in $(ldd croze/croze croze/newuidmap croze/newgidmap | grep -o '/[^ :]*lib[^ ]*' | sort -u); do \
                 mkdir -p \".${{library%/*}}\"; cp -L \"$library\" \".$library\"; done",
            root = root.display(),
            croze = env!("CARGO_BIN_EXE_croze"),
        ));
        root
    });
    &ROOT
}
