//! What a step gets for its devices.

use std::path::{Path, PathBuf};

use super::DeviceError;
use super::spec::ContainerEdits;
use crate::executor::Restriction;

/// Variables and mounts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Edits {
    /// Variables, which win over those of the Dockerfile.
    pub env: Vec<(String, String)>,
    /// What is mounted, in order.
    pub mounts: Vec<HostMount>,
}

/// Something of this machine that a step sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostMount {
    /// Where the step sees it.
    pub target: PathBuf,
    /// Where it is on this machine.
    pub path: PathBuf,
    /// What the step may not do with it.
    pub restrictions: Vec<Restriction>,
}

impl Edits {
    /// Adds what the device `device` needs.
    pub(super) fn add(&mut self, device: &str, edits: &ContainerEdits) -> Result<(), DeviceError> {
        let unsupported = |what: &str| DeviceError::Unsupported {
            device: device.to_owned(),
            what: what.to_owned(),
        };
        for (present, what) in [
            (!edits.hooks.is_empty(), "hooks to be run"),
            (!edits.additional_gids.is_empty(), "groups of this machine"),
            (edits.intel_rdt.is_some(), "Intel RDT"),
            (!edits.net_devices.is_empty(), "network devices"),
        ] {
            if present {
                return Err(unsupported(what));
            }
        }
        for variable in &edits.env {
            let (name, value) = variable
                .split_once('=')
                .ok_or_else(|| unsupported(&format!("the variable `{variable}` without a value")))?;
            self.env.push((name.to_owned(), value.to_owned()));
        }
        for node in &edits.device_nodes {
            let path = node.host_path.as_deref().filter(|path| !path.is_empty());
            self.mount(device, &node.path, path.unwrap_or(&node.path), Vec::new())?;
        }
        for mount in &edits.mounts {
            if !matches!(mount.kind.as_deref(), None | Some("" | "bind" | "none")) {
                return Err(unsupported("a mount that is none of this machine's files"));
            }
            let mut restrictions = Vec::new();
            for option in &mount.options {
                match option.as_str() {
                    "ro" => restrictions.push(Restriction::Write),
                    "nosuid" => restrictions.push(Restriction::SetId),
                    "nodev" => restrictions.push(Restriction::Devices),
                    "noexec" => restrictions.push(Restriction::Execute),
                    // What every mount of a step is.
                    "rw" | "bind" | "rbind" | "private" | "rprivate" => {}
                    other => return Err(unsupported(&format!("the mount option `{other}`"))),
                }
            }
            self.mount(device, &mount.container_path, &mount.host_path, restrictions)?;
        }
        Ok(())
    }

    fn mount(
        &mut self,
        device: &str,
        target: &str,
        path: &str,
        restrictions: Vec<Restriction>,
    ) -> Result<(), DeviceError> {
        let mount = HostMount {
            target: target.into(),
            path: path.into(),
            restrictions,
        };
        if !mount.path.exists() {
            return Err(DeviceError::Missing {
                device: device.to_owned(),
                path: mount.path,
            });
        }
        if mount.target == Path::new("/") || !mount.target.is_absolute() {
            return Err(DeviceError::Unsupported {
                device: device.to_owned(),
                what: format!("a mount on `{target}`"),
            });
        }
        self.mounts.push(mount);
        Ok(())
    }
}
