//! Running a command in a pod, with Debian's runc.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use crate::harness::{Outcome, scratch, sh};
use crate::image::Image;
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
    image: Image,
    is_mounted: bool,
}

impl Files {
    /// Copies the image of a pod and lays out its volumes.
    pub(crate) fn new(pod: &Pod, image: Image, root_on: RootOn) -> Self {
        let dir = tempfile::Builder::new().prefix("pod-").tempdir_in(scratch()).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let files = Self {
            dir,
            is_mounted: root_on == RootOn::Overlay,
            image,
        };
        let first = pod.first_id();
        image.copy(pod, &files.path("image"));
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
        let own = files.root().join(&OWN[1..]);
        fs::create_dir_all(&own).unwrap();
        chown(own.parent().unwrap(), Some(first), Some(first)).unwrap();
        for volume in [files.path("disk"), files.path("memory"), own] {
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

    /// Makes a socket that everybody in the pod can send to. The path is in the root file system or on the disk's volume.
    pub(crate) fn socket(&self, path: &str) -> UnixDatagram {
        let path = match path.strip_prefix(DISK) {
            Some(rest) => self.path("disk").join(rest.trim_start_matches('/')),
            None => self.root().join(path.trim_start_matches('/')),
        };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let socket = UnixDatagram::bind(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        socket
    }

    /// Writes a file where everybody in the pod can read it.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
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
        config["process"]["args"] = serde_json::json!([self.image.shell(), &[script]].concat());
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
