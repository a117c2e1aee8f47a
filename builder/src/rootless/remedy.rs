//! What to do about something that is missing: where, and exactly what.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something to do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Remedy {
    /// Where.
    #[serde(rename = "where")]
    pub place: Place,
    /// A command to type, an option to pass, or a field to set.
    #[serde(rename = "do")]
    pub action: String,
}

/// Where something can be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// On the machine, or the node.
    Host,
    /// On the command line of `docker run` or `podman run`.
    Docker,
    /// In the manifest of the pod.
    Kubernetes,
    /// In the image of the container.
    Image,
}

/// What lets a pod mount where AppArmor keeps it from that.
pub(crate) const MOUNTING_APP_ARMOR: &str = "`securityContext.appArmorProfile: {type: Unconfined}`, or \
    `{type: Localhost, localhostProfile: croze-pod}` with croze's own profile on the node";

impl Remedy {
    /// Something to do on the machine.
    pub fn host(action: impl Into<String>) -> Self {
        Self::at(Place::Host, action)
    }

    /// An option of `docker run` and `podman run`.
    pub fn docker(action: impl Into<String>) -> Self {
        Self::at(Place::Docker, action)
    }

    /// A field of a pod.
    pub fn kubernetes(action: impl Into<String>) -> Self {
        Self::at(Place::Kubernetes, action)
    }

    /// Something to do when the image is built.
    pub fn image(action: impl Into<String>) -> Self {
        Self::at(Place::Image, action)
    }

    fn at(place: Place, action: impl Into<String>) -> Self {
        Self {
            place,
            action: action.into(),
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, action } = self;
        match place {
            Place::Host => write!(f, "on the machine: {action}"),
            Place::Docker => write!(f, "docker run: {action}"),
            Place::Kubernetes => write!(f, "in Kubernetes: {action}"),
            Place::Image => write!(f, "in the image: {action}"),
        }
    }
}
