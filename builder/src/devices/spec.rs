//! CDI specifications as they stand in files, version 1.1 and older.
//!
//! What is not known makes a file invalid: a device must not be given without something that it needs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// The largest specification that is read, in bytes.
const MAX_SIZE: u64 = 4 << 20;

/// Why a specification cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// It cannot be read.
    #[error("cannot read it")]
    Read(#[source] std::io::Error),
    /// It is larger than any.
    #[error("it is larger than {MAX_SIZE} bytes")]
    TooLarge,
    /// It is no specification.
    #[error("it is no CDI specification")]
    Json(#[source] serde_json::Error),
    /// It is no specification.
    #[error("it is no CDI specification")]
    Yaml(#[source] Box<serde_saphyr::Error>),
    /// Its kind is not `vendor/class`.
    #[error("its kind `{0}` is not of the form `vendor/class`")]
    Kind(String),
}

/// A file: devices of one kind.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Spec {
    #[serde(rename = "cdiVersion")]
    _version: String,
    /// `vendor/class`.
    pub(super) kind: String,
    #[serde(default)]
    pub(super) annotations: Annotations,
    pub(super) devices: Vec<DeviceSpec>,
    /// What each of the devices needs.
    #[serde(default)]
    pub(super) container_edits: ContainerEdits,
}

/// One device.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DeviceSpec {
    pub(super) name: String,
    #[serde(default)]
    pub(super) annotations: Annotations,
    pub(super) container_edits: ContainerEdits,
}

/// Texts by name; a YAML file may have them as truth values.
pub(super) type Annotations = BTreeMap<String, Text>;

/// A text, or a truth value that stands for one.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Text {
    Plain(String),
    Truth(bool),
}

/// What is done to a container.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ContainerEdits {
    pub(super) env: Vec<String>,
    pub(super) device_nodes: Vec<DeviceNode>,
    pub(super) mounts: Vec<MountEdit>,
    pub(super) hooks: Vec<IgnoredAny>,
    pub(super) additional_gids: Vec<u32>,
    pub(super) intel_rdt: Option<IgnoredAny>,
    pub(super) net_devices: Vec<IgnoredAny>,
}

/// A device node. Type, numbers, owner and mode are those of the machine's own node, which is mounted.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DeviceNode {
    pub(super) path: String,
    pub(super) host_path: Option<String>,
    #[serde(rename = "type")]
    _kind: Option<String>,
    #[serde(rename = "major")]
    _major: Option<i64>,
    #[serde(rename = "minor")]
    _minor: Option<i64>,
    #[serde(rename = "fileMode")]
    _mode: Option<u32>,
    #[serde(rename = "permissions")]
    _permissions: Option<String>,
    #[serde(rename = "uid")]
    _uid: Option<u32>,
    #[serde(rename = "gid")]
    _gid: Option<u32>,
}

/// A file or directory of the machine.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MountEdit {
    pub(super) host_path: String,
    pub(super) container_path: String,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    #[serde(default)]
    pub(super) options: Vec<String>,
}

impl Text {
    /// Returns it as text.
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Truth(true) => "true",
            Self::Truth(false) => "false",
        }
    }
}

/// Reads a file: JSON or YAML, as its name says.
pub(super) fn read(path: &Path) -> Result<Spec, SpecError> {
    if fs::metadata(path).map_err(SpecError::Read)?.len() > MAX_SIZE {
        return Err(SpecError::TooLarge);
    }
    let text = fs::read_to_string(path).map_err(SpecError::Read)?;
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let spec: Spec = if is_json {
        serde_json::from_str(&text).map_err(SpecError::Json)?
    } else {
        serde_saphyr::from_str(&text).map_err(|error| SpecError::Yaml(Box::new(error)))?
    };
    match spec.kind.split_once('/') {
        Some((vendor, class)) if !vendor.is_empty() && !class.is_empty() && !class.contains(['/', '=']) => Ok(spec),
        _ => Err(SpecError::Kind(spec.kind)),
    }
}
