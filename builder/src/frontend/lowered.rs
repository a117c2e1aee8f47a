//! What lowering yields: the vertex of the image's root file system, its config and its history.

use registry::oci::ImageConfig;

use super::ResolvedImage;
use crate::graph::VertexId;

/// A stage as an image in the making.
#[derive(Clone, PartialEq, Debug)]
pub struct Lowered {
    /// The root file system; `None` if it is empty.
    pub rootfs: Option<VertexId>,
    /// The image whose layers and history come first; `None` for `FROM scratch`.
    pub base: Option<Base>,
    /// The config, complete but for `created`, `rootfs` and `history`.
    pub config: ImageConfig,
    /// The history after that of the base, oldest first; the layers in it, in order, are the image's layers
    /// after those of the base.
    pub history: Vec<HistoryEntry>,
    /// `SOURCE_DATE_EPOCH`: the time, in seconds since 1970, that the image and its history should bear.
    pub epoch: Option<i64>,
    /// What an SBOM generator is to see beside the root file system.
    pub scan: ScanTargets,
}

/// What an SBOM generator is to see beside the root file system, as the arguments `BUILDKIT_SBOM_SCAN_CONTEXT` and
/// `BUILDKIT_SBOM_SCAN_STAGE` say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ScanTargets {
    /// Whether it sees the build context.
    pub context: bool,
    /// The stages that it sees, with their root file systems; `None` is an empty one.
    pub stages: Vec<(String, Option<VertexId>)>,
    /// Whether what was found in earlier builds must not be used.
    pub no_cache: bool,
}

/// The image that a build starts from.
#[derive(Clone, PartialEq, Debug)]
pub struct Base {
    /// What it is. Its layers can be left where they are until a step must see their files.
    pub image: ResolvedImage,
    /// Its vertex; `None` if it has no layers.
    pub vertex: Option<VertexId>,
}

/// One entry of the history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryEntry {
    /// The instruction, in the words of BuildKit.
    pub created_by: String,
    /// Who wrote the entry: [`COMMENT`] unless it stands for no instruction.
    pub comment: &'static str,
    /// The vertex whose changes are the layer; `None` if there is no layer.
    pub layer: Option<VertexId>,
}

/// The comment of entries that stand for an instruction: tools recognise images of BuildKit's frontend by it.
pub const COMMENT: &str = "buildkit.dockerfile.v0";

/// The comment of a layer that no instruction made, as BuildKit's exporter writes it.
pub(super) const EXPORTER_COMMENT: &str = "buildkit.exporter.image.v0";
