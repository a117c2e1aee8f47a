//! What the pods run: croze in an image of somebody else's, and in its own.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::harness::{scratch, sh, workspace};
use crate::pod::Pod;

/// What a pod runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Image {
    /// An image that croze was copied into.
    Foreign,
    /// The same, whose user has no subordinate ids.
    ForeignWithoutIds,
    /// croze's own image, as `ci-examples/image/Dockerfile` lays it out, and a shell for the tests.
    Own,
    /// The same in its `restricted` variant.
    Restricted,
}

impl Image {
    /// Returns where croze is.
    pub(crate) fn croze(self) -> &'static str {
        match self {
            Self::Foreign | Self::ForeignWithoutIds => "/croze/croze",
            Self::Own | Self::Restricted => "/.croze/bin/croze",
        }
    }

    /// Returns a directory for what is built.
    pub(crate) fn context(self) -> &'static str {
        match self {
            Self::Foreign | Self::ForeignWithoutIds => "/c",
            Self::Own | Self::Restricted => "/.croze/c",
        }
    }

    /// Returns the words that run a script.
    pub(crate) fn shell(self) -> &'static [&'static str] {
        match self {
            Self::Foreign | Self::ForeignWithoutIds => &["/bin/sh", "-c"],
            Self::Own | Self::Restricted => &["/.croze/bin/busybox", "sh", "-c"],
        }
    }

    /// Makes a copy for a pod.
    pub(crate) fn copy(self, pod: &Pod, to: &Path) {
        let root = match self {
            Self::Foreign | Self::ForeignWithoutIds => foreign(),
            Self::Own | Self::Restricted => own(),
        };
        sh(&format!("cp -a '{}' '{}'", root.display(), to.display()));
        if self == Self::Restricted {
            let layout = workspace().join("ci-examples/image/layout.sh");
            sh(&format!(
                "'{layout}' '{root}' {user}; chown -R 0:0 '{root}'/.croze/bin '{root}'/.croze/lib",
                layout = layout.display(),
                root = to.display(),
                user = pod.uid,
            ));
        }
        let first = pod.first_id();
        if self == Self::Foreign {
            for kind in ["subuid", "subgid"] {
                fs::write(to.join("etc").join(kind), pod.subordinate_ids()).unwrap();
            }
        }
        if first != 0 {
            sh(&format!("chown -hR {first}:{first} '{}'", to.display()));
        }
        if self == Self::Foreign {
            // After the owner, which takes them away; as a container runtime would, for root of the pod's namespace.
            for (program, capability) in [("newuidmap", "cap_setuid"), ("newgidmap", "cap_setgid")] {
                let command = format!("setcap -n {first} {capability}+ep '{}/croze/{program}'", to.display());
                sh(&command.replace("-n 0 ", ""));
            }
        }
    }
}

/// Returns the root of an image that leaves `/` to the images that are built.
///
/// The released croze is a static program. This one finds its libraries where no stage has any.
fn own() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let root = scratch().join("own-image");
        for dir in ["bin", "lib"] {
            fs::create_dir_all(root.join(".croze").join(dir)).unwrap();
        }
        sh(&format!(
            "cd '{root}/.croze'; cp /bin/busybox bin; strip -o bin/croze '{croze}'; \
             for library in $(ldd bin/croze | grep -o '/[^ :]*lib[^ ]*' | sort -u); do cp -L \"$library\" lib; done; \
             patchelf --set-interpreter \"/.croze/lib/$(basename \"$(patchelf --print-interpreter bin/croze)\")\" \
                 --force-rpath --set-rpath /.croze/lib bin/croze; chmod 755 bin/* lib/*",
            root = root.display(),
            croze = env!("CARGO_BIN_EXE_croze"),
        ));
        root
    });
    &ROOT
}

/// Returns the root of an image with croze and its libraries, the programs that write id maps, and busybox.
fn foreign() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let root = scratch().join("foreign-image");
        for dir in [
            "bin", "croze", "etc", "proc", "dev", "sys", "tmp", "work/e", "work/t", "work/o",
        ] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        // As every other image, it has files that cannot make room.
        fs::create_dir_all(root.join("usr/share/files")).unwrap();
        for number in 0..20 {
            fs::write(root.join(format!("usr/share/files/{number}")), "").unwrap();
        }
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
