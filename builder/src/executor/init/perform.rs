//! The step's own process: performs a plan, one step after the other, and becomes the program.

use std::io::{PipeWriter, Write};

use nix::sched::CloneFlags;
use nix::sys::prctl::set_dumpable;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::set_no_new_privs;

use super::api::Api;
use super::devices::HostDevices;
use super::mounts::Scratch;
use super::supervise::ToSupervisor;
use super::{close_off, devices, exec, identity, loopback, masks, mounts, root, session};
use crate::executor::plan::SetupStep;
use crate::executor::seccomp;
use crate::executor::setup_error::{OnPath, SetupError};
use crate::supervisor::Needs;

/// What the steps of a plan leave for later ones.
#[derive(Default)]
pub(super) struct Setup {
    /// The way to the supervisor, if there is one.
    pub(super) to_supervisor: Option<ToSupervisor>,
    /// The host's devices, opened before anything of the image.
    pub(super) devices: HostDevices,
    /// The tmpfs of croze's own, once it is mounted.
    pub(super) scratch: Option<Scratch>,
    /// The mounts opened so far.
    pub(super) mounts: Vec<OwnedFd>,
    /// The root file system, once it is mounted.
    pub(super) root: Option<OwnedFd>,
}

/// Performs the steps. Returns only if one fails; `report` has then got the [`SetupError`].
pub(super) fn become_program(steps: Vec<SetupStep>, report: &PipeWriter, to_supervisor: Option<ToSupervisor>) -> u8 {
    let mut setup = Setup {
        to_supervisor,
        ..Setup::default()
    };
    let error = session::die_with_parent(report)
        .err()
        .or_else(|| steps.into_iter().find_map(|step| setup.perform(step, report).err()));
    if let Some(error) = error {
        let text = serde_json::to_vec(&error).unwrap_or_default();
        let mut report = report;
        // Nobody else could be told.
        let _monitor_is_gone = report.write_all(&text);
    }
    1
}

impl Setup {
    fn perform(&mut self, step: SetupStep, report: &PipeWriter) -> Result<(), SetupError> {
        match step {
            SetupStep::Namespaces { network } => namespaces(network),
            SetupStep::OpenDevices => {
                self.devices = HostDevices::open()?;
                Ok(())
            }
            SetupStep::Scratch { at } => {
                self.scratch = Some(Scratch::mount(at)?);
                Ok(())
            }
            SetupStep::Open(source) => {
                let scratch = self
                    .scratch
                    .as_ref()
                    .ok_or(Errno::NOTCONN)
                    .on("mount with", "nothing")?;
                let owners = self.to_supervisor.as_mut().map(|supervisor| &mut supervisor.owners);
                let mount = mounts::open(source, self.mounts.len(), scratch, owners)?;
                self.mounts.push(mount);
                Ok(())
            }
            SetupStep::Root { tree, targets } => {
                let targets = targets.into_iter().map(|(index, target)| (target, &self.mounts[index]));
                self.root = Some(root::mount(tree, targets, self.scratch()?)?);
                Ok(())
            }
            SetupStep::Attach { mount, target } => {
                root::attach(self.api()?, self.root()?, &self.mounts[mount], &target)
            }
            SetupStep::Devices { dev, shm_size } => {
                devices::fill(self.api()?, &self.mounts[dev], &self.devices, shm_size)
            }
            SetupStep::Mask { proc, sys } => {
                masks::apply(self.api()?, &self.mounts[proc], &self.mounts[sys], &self.devices)
            }
            SetupStep::Pivot => root::pivot(self.root()?),
            SetupStep::ChangeRoot(tree) => root::change(&tree),
            SetupStep::Hostname(name) => rustix::system::sethostname(name.as_bytes()).on("set the host name to", &name),
            SetupStep::Session => session::start(),
            SetupStep::WorkingDirectory(path) => session::enter_working_directory(&path),
            SetupStep::CloseOff(what) => close_off::close_off(what),
            SetupStep::NoNewPrivileges => set_no_new_privs(true).on("give up gaining rights in", "the step"),
            SetupStep::NoSockets => seccomp::refuse_sockets(),
            SetupStep::Seccomp => seccomp::install(),
            SetupStep::Credentials(credentials, privileges) => identity::take_on(&credentials, privileges),
            SetupStep::Limits(limits) => limits.iter().try_for_each(session::limit_to),
            SetupStep::Supervise(needs) => {
                match needs {
                    Needs::Owners | Needs::OwnersAndWindows => identity::stay_root()?,
                    Needs::OwnersAndTop | Needs::OwnersAndPaths => identity::have_nothing()?,
                }
                // The monitor may not be looked at, and neither could its copy be, by the supervisor least of all.
                set_dumpable(true).on("open to the supervisor", "the step")?;
                let supervisor = self.to_supervisor.take().ok_or(Errno::NOTCONN);
                supervisor.on("find", "the supervisor")?.submit(needs)
            }
            SetupStep::Exec { args, env } => {
                session::die_with_parent(report)?;
                exec::exec(&args, &env)
            }
        }
    }

    fn scratch(&self) -> Result<&Scratch, SetupError> {
        self.scratch.as_ref().ok_or(Errno::NOTCONN).on("mount with", "nothing")
    }

    fn api(&self) -> Result<&Api, SetupError> {
        Ok(&self.scratch()?.api)
    }

    fn root(&self) -> Result<&OwnedFd, SetupError> {
        self.root.as_ref().ok_or(Errno::NOTCONN).on("use", "/")
    }
}

/// Enters the namespaces other than the pid namespace, which only a new process can enter.
///
/// The cgroup namespace stays: programs find their limits by putting `/proc/self/cgroup` and the host's `/sys/fs/cgroup`
/// together, and both must then tell of the same hierarchy.
fn namespaces(network: bool) -> Result<(), SetupError> {
    if network {
        loopback::enter_network().on("make", "a network for the step")?;
    }
    let flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    nix::sched::unshare(flags).on("make namespaces for", "the step")?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).on("make mounts private below", "/")
}
