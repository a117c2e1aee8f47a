//! `--cache-to type=inline`: the image tells in its config which steps its layers come from.

use std::collections::HashMap;

use registry::oci::ImageConfig;
use snapshotter::SnapshotName;

use super::records::BuiltRecord;
use crate::graph::{Graph, VertexId};
use crate::image::LayerFormat;
use crate::op::Op;
use crate::ops::Rootfs;
use crate::remote_cache::{self, Entry, EntryLayer};

/// What an inline cache is made of.
pub(super) struct Inline<'a> {
    pub(super) graph: &'a Graph<Op>,
    pub(super) records: &'a [BuiltRecord],
}

impl Inline<'_> {
    /// Writes the entries of what `target` is made from into the config of its image.
    ///
    /// `files` are the image's own layers, in `format`; `below` is the number of its base's. Entries are found by their
    /// definition keys alone: a build that finds all of them writes the same bytes again.
    pub(super) fn write(
        &self,
        target: VertexId,
        files: &Rootfs,
        below: usize,
        format: LayerFormat,
        config: &mut ImageConfig,
    ) -> Result<(), serde_json::Error> {
        let positions: HashMap<&SnapshotName, usize> = files
            .layers
            .iter()
            .enumerate()
            .map(|(position, layer)| (&layer.snapshot, below + position))
            .collect();
        let ancestors = self.graph.ancestors(&[target]);
        let records = self.records.iter().filter(|record| ancestors.contains(&record.vertex));
        let entries: Vec<Entry> = records.filter_map(|record| entry(record, &positions, format)).collect();
        if entries.is_empty() {
            return Ok(());
        }
        remote_cache::embed(entries, config)
    }
}

/// Returns the entry of a record; of one whose layers are not the image's only the key, if that tells anything.
fn entry(record: &BuiltRecord, positions: &HashMap<&SnapshotName, usize>, format: LayerFormat) -> Option<Entry> {
    let keys = &record.keys()[..1];
    let own = record.files.as_ref().filter(|files| !files.layers.is_empty());
    let layers = own.and_then(|files| {
        let layers = files.layers.iter().map(|layer| {
            Some(EntryLayer {
                position: *positions.get(&layer.snapshot)?,
                created: layer.created.clone(),
                format: format.label(),
            })
        });
        layers.collect::<Option<Vec<_>>>()
    });
    match layers {
        Some(layers) => Some(record.entry(keys, Some(layers))),
        None => record.is_renamed().then(|| record.entry(keys, None)),
    }
}
