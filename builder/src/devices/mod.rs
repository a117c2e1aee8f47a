//! Devices of this machine by their CDI names: what `RUN --device` gives to a step.
//!
//! The Container Device Interface describes a device, in a file of the machine's administrator, by what a container needs
//! to use it: nodes, files and variables. A rootless builder gives them as far as it has them itself: a node is mounted
//! with the owner and mode that it has on the machine, and hooks, which are programs to be run as root, are refused.

mod edits;
mod spec;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

pub use edits::{Edits, HostMount};
pub use spec::SpecError;

use crate::attributes::truth;
use crate::diagnostic::nearest;
use spec::{DeviceSpec, Spec, Text};

/// Annotation by which a device has a class.
const CLASS: &str = "org.mobyproject.buildkit.device.class";
/// Annotation by which builds may use a device without being allowed to.
const AUTO_ALLOW: &str = "org.mobyproject.buildkit.device.autoallow";

/// The devices that the machine describes.
#[derive(Clone, Debug, Default)]
pub struct DeviceRegistry {
    /// By qualified name, `vendor/class=name`.
    devices: BTreeMap<String, Registered>,
    specs: Vec<Spec>,
    broken: Vec<String>,
}

/// Where a device is described.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Registered {
    /// In one specification.
    Once {
        /// Its number.
        spec: usize,
        /// The device's number in it.
        device: usize,
        /// The number of the directory that it is in.
        directory: usize,
    },
    /// In two of the same directory.
    Twice {
        /// The number of the directory.
        directory: usize,
    },
}

/// Why a device cannot be given.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DeviceError {
    /// The name is none.
    #[error("invalid device \"{0}\"")]
    Name(String),
    /// There is no such device.
    #[error("required device \"{name}\" is not registered")]
    Unregistered {
        /// What was asked for.
        name: String,
        /// What to do.
        help: String,
    },
    /// Two files of one directory describe it.
    #[error("the device \"{0}\" is described twice")]
    Twice(String),
    /// It needs something that cannot be given.
    #[error("the device \"{device}\" needs {what}, which croze cannot give")]
    Unsupported {
        /// The device.
        device: String,
        /// What it needs.
        what: String,
    },
    /// The machine has not what the description says.
    #[error("the device \"{device}\" needs `{}`, which this machine does not have", path.display())]
    Missing {
        /// The device.
        device: String,
        /// A path of the machine.
        path: PathBuf,
    },
}

impl DeviceRegistry {
    /// Reads the specifications in directories; those of later ones count more. What cannot be read is told when a device
    /// is not found.
    pub fn load(directories: &[PathBuf]) -> Self {
        let mut registry = Self::default();
        for (directory, path) in directories.iter().enumerate() {
            for file in files(path) {
                match spec::read(&file) {
                    Ok(spec) => registry.add(spec, directory),
                    Err(error) => {
                        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                        let cause = cause.unwrap_or_default();
                        registry.broken.push(format!("{}: {error}{cause}", file.display()));
                    }
                }
            }
        }
        registry
    }

    fn add(&mut self, spec: Spec, directory: usize) {
        for (device, described) in spec.devices.iter().enumerate() {
            let name = format!("{}={}", spec.kind, described.name);
            let new = Registered::Once {
                spec: self.specs.len(),
                device,
                directory,
            };
            let place = self.devices.entry(name).or_insert(new);
            *place = match *place {
                Registered::Once { directory: known, .. } | Registered::Twice { directory: known }
                    if known == directory && *place != new =>
                {
                    Registered::Twice { directory }
                }
                _ => new,
            };
        }
        self.specs.push(spec);
    }

    /// Finds the devices that a name means: one by its qualified name, the first of a kind by the kind alone, all of them
    /// by `kind=*`, those of a class by `kind=class`. None is no error.
    pub fn find(&self, name: &str) -> Result<Vec<String>, DeviceError> {
        let (kind, own) = name.split_once('=').unwrap_or((name, ""));
        if !is_kind(kind) {
            return Err(DeviceError::Name(name.to_owned()));
        }
        let prefix = format!("{kind}=");
        let of_kind = || self.devices.keys().filter(|known| known.starts_with(&prefix)).cloned();
        Ok(match own {
            "" => of_kind().take(1).collect(),
            "*" => of_kind().collect(),
            _ if self.devices.contains_key(name) => vec![name.to_owned()],
            class => of_kind()
                .filter(|known| self.annotation(known, CLASS) == Some(class))
                .collect(),
        })
    }

    /// Finds the devices that a name means, of which there must be one.
    pub fn require(&self, name: &str) -> Result<Vec<String>, DeviceError> {
        let found = self.find(name)?;
        if !found.is_empty() {
            return Ok(found);
        }
        let help = match (
            nearest(name, self.devices.keys().map(String::as_str)),
            self.broken.first(),
        ) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, Some(broken)) => format!("a specification could not be used: {broken}"),
            (None, None) => {
                "describe it in a CDI specification, in `/etc/cdi` or where `--cdi-spec-dir` says".to_owned()
            }
        };
        Err(DeviceError::Unregistered {
            name: name.to_owned(),
            help,
        })
    }

    /// Returns whether builds may use a device without being allowed to.
    pub fn is_automatic(&self, device: &str) -> bool {
        self.annotation(device, AUTO_ALLOW).and_then(truth) == Some(true)
    }

    /// Returns what a step needs to use devices, given by their qualified names.
    pub fn edits(&self, devices: &[String]) -> Result<Edits, DeviceError> {
        let mut edits = Edits::default();
        let mut seen = Vec::new();
        for name in devices {
            let (number, spec, device) = self.described(name)?;
            if !seen.contains(&number) {
                seen.push(number);
                edits.add(name, &spec.container_edits)?;
            }
            edits.add(name, &device.container_edits)?;
        }
        Ok(edits)
    }

    fn described(&self, name: &str) -> Result<(usize, &Spec, &DeviceSpec), DeviceError> {
        match self.devices.get(name) {
            Some(&Registered::Once { spec, device, .. }) => {
                Ok((spec, &self.specs[spec], &self.specs[spec].devices[device]))
            }
            Some(Registered::Twice { .. }) => Err(DeviceError::Twice(name.to_owned())),
            None => Err(DeviceError::Name(name.to_owned())),
        }
    }

    /// Returns an annotation of a device, or of its specification.
    fn annotation(&self, device: &str, key: &str) -> Option<&str> {
        let (_, spec, device) = self.described(device).ok()?;
        let found = device.annotations.get(key).or_else(|| spec.annotations.get(key));
        found.map(Text::as_str)
    }
}

/// Returns the specifications in a directory, sorted; none if it cannot be listed.
fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let is_spec = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("json" | "yaml" | "yml"))
    };
    let mut files: Vec<PathBuf> = paths.filter(is_spec).collect();
    files.sort();
    files
}

/// Returns whether a text is `vendor/class` in the letters that CDI permits.
fn is_kind(kind: &str) -> bool {
    let is_name = |name: &str, also: &[char]| {
        let letter = |c: char| c.is_ascii_alphanumeric() || also.contains(&c);
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.ends_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(letter)
    };
    kind.split_once('/')
        .is_some_and(|(vendor, class)| is_name(vendor, &['_', '-', '.']) && is_name(class, &['_', '-']))
}
