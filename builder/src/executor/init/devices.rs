//! `/dev`: an own tmpfs with the few devices of the host that every container has.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, major, makedev, minor, mkdirat, openat, symlinkat};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::api::Api;
use crate::executor::setup_error::{OnPath, SetupError};

/// Name, major and minor number of the devices in `/dev`.
const DEVICES: [(&str, u32, u32); 6] = [
    (NULL, 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

const NULL: &str = "null";

/// Links in `/dev` and where they lead.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Group `tty`, which owns terminals.
const TTY_GROUP: (&str, &str) = ("gid", "5");

/// The host's devices, by name: opened, and known to be what their names say.
#[derive(Default)]
pub(super) struct HostDevices(Vec<(&'static str, OwnedFd)>);

impl HostDevices {
    /// Opens them, as mere locations.
    pub(super) fn open() -> Result<Self, SetupError> {
        let open = |(name, wanted_major, wanted_minor)| {
            let path = format!("/dev/{name}");
            let fd = openat(
                CWD,
                &path,
                OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .on("open", &path)?;
            let stat = fstat(&fd).on("read the attributes of", &path)?;
            let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
            if !is_device || stat.st_rdev != makedev(wanted_major, wanted_minor) {
                let found = format!("{path} ({}:{})", major(stat.st_rdev), minor(stat.st_rdev));
                return Err(Errno::NODEV).on("use as a device", found);
            }
            Ok((name, fd))
        };
        DEVICES.into_iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// Returns a mount of `/dev/null`, to cover a file with.
    pub(super) fn null_mount(&self, api: &Api) -> Result<OwnedFd, SetupError> {
        let null = self.0.iter().find(|(name, _)| *name == NULL).map(|(_, fd)| fd);
        null.ok_or(Errno::NODEV)
            .and_then(|fd| api.copy(fd.as_fd()))
            .on("mount", "/dev/null")
    }
}

/// Fills the tmpfs that is attached at `/dev`.
pub(super) fn fill(api: &Api, dev: &OwnedFd, devices: &HostDevices, shm_size: u64) -> Result<(), SetupError> {
    for (name, device) in &devices.0 {
        let file = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let target = openat(dev, *name, file, Mode::from_raw_mode(0o666)).on("create a device", name)?;
        let mount = api.copy(device.as_fd()).on("mount the device", name)?;
        api.attach(mount.as_fd(), target.as_fd()).on("mount the device", name)?;
    }
    let inert = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let nodev = MountAttrFlags::MOUNT_ATTR_NODEV;
    attach_in(api, dev, "pts", &devpts(api, inert)?)?;
    let shm_size = shm_size.to_string();
    attach_in(
        api,
        dev,
        "shm",
        &api.file_system("tmpfs", &[("mode", "1777"), ("size", &shm_size)], inert | nodev)?,
    )?;
    match api.file_system("mqueue", &[], inert | nodev) {
        Ok(mqueue) => attach_in(api, dev, "mqueue", &mqueue)?,
        // A kernel without POSIX message queues has no such file system, and no program that needs it.
        Err(SetupError::System { source, .. }) if source == Errno::NODEV.into() => {}
        Err(error) => return Err(error),
    }
    for (name, target) in LINKS {
        symlinkat(target, dev, name).on("create the link", name)?;
    }
    Ok(())
}

/// Mounts a devpts of the step's own, with terminals that belong to group `tty` where that group exists.
fn devpts(api: &Api, flags: MountAttrFlags) -> Result<OwnedFd, SetupError> {
    let options = [("ptmxmode", "0666"), ("mode", "0620")];
    match api.file_system("devpts", &[options[0], options[1], TTY_GROUP], flags) {
        Err(SetupError::System { source, .. }) if source == Errno::INVAL.into() => {
            api.file_system("devpts", &options, flags)
        }
        result => result,
    }
}

fn attach_in(api: &Api, dev: &OwnedFd, name: &str, mount: &OwnedFd) -> Result<(), SetupError> {
    mkdirat(dev, name, Mode::from_raw_mode(0o755)).on("create", name)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = openat(dev, name, flags, Mode::empty()).on("open", name)?;
    api.attach(mount.as_fd(), target.as_fd()).on("mount on", name)
}
