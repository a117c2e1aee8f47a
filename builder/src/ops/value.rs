//! What operations give: root file systems and contexts, as handles that are cheap to clone.

use std::sync::Arc;

use registry::oci::{ChainId, Digest};
use serde::{Deserialize, Serialize};
use snapshotter::SnapshotName;

use super::LocalContext;
use crate::image::{BaseImage, ImportedLayer};

/// The result of a vertex.
#[derive(Clone)]
pub enum Value {
    /// A root file system.
    Files(Rootfs),
    /// A directory of the host.
    Context(Arc<LocalContext>),
}

/// A root file system: the layers of a base image under those of the build's steps.
#[derive(Clone, Default)]
pub struct Rootfs {
    /// What it starts from; its layers may not have been pulled yet.
    pub base: Option<Arc<BaseImage>>,
    /// What steps added, lowest first.
    pub layers: Arc<[StepLayer]>,
}

/// What one step added.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StepLayer {
    /// The changes.
    pub snapshot: SnapshotName,
    /// When the step ran, RFC 3339.
    pub created: String,
    /// What it comes from if another machine made it; the snapshot need not be there then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<ImportedLayer>,
}

/// A root file system as a record keeps it.
#[derive(PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stored {
    /// The base's layers, by what identifies them; the image itself is pinned anew in each build.
    pub base: Option<ChainId>,
    /// The steps' layers, lowest first.
    pub layers: Vec<StepLayer>,
}

impl Rootfs {
    /// Returns this file system with one more layer on top.
    #[must_use]
    pub fn with(&self, layer: StepLayer) -> Self {
        Self {
            base: self.base.clone(),
            layers: self.layers.iter().cloned().chain([layer]).collect(),
        }
    }

    /// Returns this file system with all layers of another on top.
    #[must_use]
    pub fn stacked(&self, above: &Self) -> Self {
        Self {
            base: self.base.clone(),
            layers: self.layers.iter().chain(above.layers.iter()).cloned().collect(),
        }
    }

    /// Returns the snapshots that it is made of, the lowest first; all are there once it was unpacked.
    pub fn chain(&self) -> Vec<SnapshotName> {
        let base = self.base.iter().flat_map(|base| base.layers.iter());
        let steps = self.layers.iter().map(|layer| &layer.snapshot);
        base.map(|layer| &layer.snapshot).chain(steps).cloned().collect()
    }

    /// Returns what tells it from other file systems: all of its layers, since an imported one is called after its own content
    /// alone.
    pub fn identity(&self) -> String {
        let base = self.base.as_ref().and_then(|base| base.chain_id());
        let base = base.map(|chain| chain.0.to_string());
        let steps = self.layers.iter().map(|layer| layer.snapshot.to_string());
        let layers: Vec<String> = base.into_iter().chain(steps).collect();
        Digest::of(layers.join("\n").as_bytes()).to_string()
    }

    /// Returns what a record keeps.
    pub fn stored(&self) -> Stored {
        Stored {
            base: self.base.as_ref().and_then(|base| base.chain_id()),
            layers: self.layers.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(name: &str) -> StepLayer {
        StepLayer {
            snapshot: SnapshotName::new(name).unwrap(),
            created: String::new(),
            imported: None,
        }
    }

    #[test]
    fn file_systems_that_end_in_the_same_layer_are_not_the_same() {
        let [one, other] = ["diff-1", "diff-2"].map(|name| Rootfs::default().with(layer(name)).with(layer("diff-0")));
        assert_ne!(one.identity(), other.identity());
        assert_eq!(one.identity(), one.clone().identity());
        assert_ne!(one.identity(), Rootfs::default().identity());
    }
}
