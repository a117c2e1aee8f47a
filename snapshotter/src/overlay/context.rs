//! One file system being configured: `fsopen`, `fsconfig`, `fsmount`.

use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use super::MountError;
use crate::error::OnPath as _;

/// A file system that is not mounted yet.
pub(super) struct Context {
    fs_type: &'static str,
    fd: OwnedFd,
}

impl Context {
    pub(super) fn new(fs_type: &'static str) -> Result<Self, MountError> {
        match fsopen(fs_type, FsOpenFlags::FSOPEN_CLOEXEC) {
            Ok(fd) => Ok(Self { fs_type, fd }),
            Err(error) => Err(MountError::Refused {
                fs_type,
                step: "fsopen",
                log: Vec::new(),
                source: error.into(),
            }),
        }
    }

    /// Sets an option without a value.
    pub(super) fn flag(&self, key: &'static str) -> Result<(), MountError> {
        self.check(key, fsconfig_set_flag(&self.fd, key))
    }

    /// Sets an option to a short text.
    pub(super) fn string(&self, key: &'static str, value: &str) -> Result<(), MountError> {
        self.check(key, fsconfig_set_string(&self.fd, key, value))
    }

    /// Sets an option to a directory, whose path may hold any byte and have any length.
    pub(super) fn directory(&self, key: &'static str, path: &Path) -> Result<(), MountError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, path, flags, Mode::empty()).on("open directory", path)?;
        self.directory_fd(key, &directory)
    }

    /// Sets an option to an open directory.
    pub(super) fn directory_fd(&self, key: &'static str, directory: &OwnedFd) -> Result<(), MountError> {
        match fsconfig_set_fd(&self.fd, key, directory.as_fd()) {
            Err(Errno::INVAL) => self.directory_name(key, directory),
            result => self.check(key, result),
        }
    }

    /// Sets an option to the name that an open directory has in `/proc`: kernels before 6.13 take only text, of at
    /// most 255 bytes.
    fn directory_name(&self, key: &'static str, directory: &OwnedFd) -> Result<(), MountError> {
        self.string(key, &format!("/proc/self/fd/{}", directory.as_raw_fd()))
    }

    /// Creates the file system and returns a detached mount of it.
    pub(super) fn mount(&self, attributes: MountAttrFlags) -> Result<OwnedFd, MountError> {
        self.check("creation", fsconfig_create(&self.fd))?;
        let mount = fsmount(&self.fd, FsMountFlags::FSMOUNT_CLOEXEC, attributes);
        mount.map_err(|error| self.refused("fsmount", error))
    }

    fn check(&self, step: &'static str, result: Result<(), Errno>) -> Result<(), MountError> {
        result.map_err(|error| self.refused(step, error))
    }

    /// Makes an error of an error number and what the kernel has written into the context.
    fn refused(&self, step: &'static str, error: Errno) -> MountError {
        let mut log = Vec::new();
        let mut message = [0; 512];
        while let Ok(length @ 1..) = rustix::io::read(&self.fd, &mut message) {
            // Each message starts with its class: `e `, `w ` or `i `.
            let text = String::from_utf8_lossy(&message[..length]);
            log.push(text.get(2..).unwrap_or(&text).trim_end().to_owned());
        }
        MountError::Refused {
            fs_type: self.fs_type,
            step,
            log,
            source: error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsRawFd as _;

    use rustix::mount::MountAttrFlags;

    use super::{Context, MountError};

    #[test]
    fn a_refusal_says_what_the_kernel_said() {
        let refused = Context::new("overlay").unwrap().flag("nonsense").unwrap_err();
        let MountError::Refused { step, log, source, .. } = refused else {
            panic!("another error")
        };
        assert_eq!((step, source.raw_os_error()), ("nonsense", Some(22)));
        assert_eq!(log, ["overlay: Unknown parameter 'nonsense'"]);
    }

    #[test]
    fn the_form_for_older_kernels_stacks_the_same() {
        let scratch = tempfile::tempdir().unwrap();
        let overlay = Context::new("overlay").unwrap();
        for name in ["a", "b"] {
            let dir = scratch.path().join(name.repeat(200)).join(name.repeat(200));
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("same"), name).unwrap();
            fs::write(dir.join(name), "").unwrap();
            overlay
                .directory_name("lowerdir+", &fs::File::open(&dir).unwrap().into())
                .unwrap();
        }
        let mount = overlay.mount(MountAttrFlags::MOUNT_ATTR_RDONLY).unwrap();
        let top = format!("/proc/self/fd/{}/.", mount.as_raw_fd());
        assert_eq!(fs::read_to_string(format!("{top}/same")).unwrap(), "a");
        assert_eq!(fs::read_dir(top).unwrap().count(), 3);
    }
}
