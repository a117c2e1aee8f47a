//! Snapshots against what they were packed as, or unpacked from.

use std::collections::BTreeMap;
use std::path::Path;

use registry::oci::{ChainId, Descriptor, DiffId, ImageConfig, Manifest};
use snapshotter::{FsError, SnapshotName};

use super::{MANIFEST_LIMIT, Verifier};
use crate::image::{
    DamageError, LayerBlob, LayerError, LayerFormat, base_snapshot, imported_snapshot, packed, packed_from,
};
use crate::state_dir::note::{self, Found};
use crate::state_dir::{Class, StateDirError, paths};

/// How the right content of a snapshot is known.
enum Reference {
    /// It was packed, with no file newer than this.
    Packed(DiffId, Option<i64>),
    /// It was unpacked from this blob.
    Unpacked(Box<LayerBlob>),
}

impl Verifier<'_> {
    /// Checks every snapshot that can be checked.
    pub(super) fn layers(&mut self) -> Result<(), StateDirError> {
        let references = self.references()?;
        let mut names: Vec<SnapshotName> = Vec::new();
        self.snapshots.walk::<FsError>(&mut |name, _| {
            names.push(name.clone());
            Ok(())
        })?;
        for name in names {
            let stamp = self.snapshots.stamp(&name)?;
            if !stamp.is_some_and(|stamp| self.epoch.believes(&stamp)) {
                self.verified.doubtful += 1;
                continue;
            }
            match references.get(&name) {
                Some(reference) => self.layer(&name, reference)?,
                None => self.verified.unchecked += 1,
            }
        }
        Ok(())
    }

    fn layer(&mut self, name: &SnapshotName, reference: &Reference) -> Result<(), StateDirError> {
        let path = paths::snapshot(name);
        let compared = match reference {
            Reference::Packed(expected, clamp) => packed(&self.snapshots, name, *clamp).map(|found| found == *expected),
            Reference::Unpacked(blob) => match packed_from(&self.content, &self.snapshots, blob) {
                Ok(Some(expected)) => packed(&self.snapshots, name, None).map(|found| found == expected),
                Ok(None) => {
                    self.verified.unchecked += 1;
                    return Ok(());
                }
                // Told of the blob itself, or the layer is not here.
                Err(DamageError::Unpack(_)) => {
                    self.verified.unchecked += 1;
                    return Ok(());
                }
                Err(DamageError::Pack(error)) => Err(error),
            },
        };
        self.verified.snapshots += 1;
        match compared {
            Ok(true) => {}
            Ok(false) => self.find(path, "its files are not those of its layer"),
            // Removed meanwhile.
            Err(LayerError::Snapshot(_)) if self.snapshots.stat(name)?.is_none() => {}
            Err(error) => self.find(path, error.to_string()),
        }
        Ok(())
    }

    /// Finds out what snapshots should be: from notes about packed layers, and from the images that are here.
    fn references(&self) -> Result<BTreeMap<SnapshotName, Reference>, StateDirError> {
        let mut references = BTreeMap::new();
        for blob in self.blobs_of_images()? {
            let (name, blob) = blob;
            references.insert(name, Reference::Unpacked(Box::new(blob)));
        }
        for name in self.names(Path::new(Class::Layers.directory()))? {
            let path = self.state.path(Class::Layers).join(&name);
            let Some((snapshot, label)) = name.to_str().and_then(|name| name.split_once('.')) else {
                continue;
            };
            // A base's layer that was compressed anew was not packed from its snapshot.
            if let (Ok(snapshot), Ok(Found::Whole(note))) =
                (SnapshotName::new(snapshot), note::inspect::<LayerBlob>(&path))
                && !references.contains_key(&snapshot)
                && snapshot.as_str().starts_with("step-")
            {
                references.insert(snapshot, Reference::Packed(note.diff_id, LayerFormat::clamp_of(label)));
            }
        }
        Ok(references)
    }

    /// Returns the layers of all images whose manifest and config are here, by the snapshots that they become.
    fn blobs_of_images(&self) -> Result<Vec<(SnapshotName, LayerBlob)>, StateDirError> {
        let mut layers = Vec::new();
        for name in self.names(Path::new(Class::Images.directory()))? {
            let path = self.state.path(Class::Images).join(name);
            let Ok(Found::Whole(manifest)) = note::inspect::<Descriptor>(&path) else {
                continue;
            };
            let Some((manifest, config)) = self.image(&manifest) else {
                continue;
            };
            let mut parent = None;
            for (descriptor, diff_id) in manifest.layers.into_iter().zip(config.rootfs.diff_ids) {
                let chain = ChainId::stack(parent, diff_id);
                parent = Some(chain);
                let blob = LayerBlob { descriptor, diff_id };
                let names = [base_snapshot(chain), imported_snapshot(diff_id)];
                layers.extend(names.into_iter().flatten().map(|name| (name, blob.clone())));
            }
        }
        Ok(layers)
    }

    fn image(&self, manifest: &Descriptor) -> Option<(Manifest, ImageConfig)> {
        let manifest = self.content.read(manifest.digest, MANIFEST_LIMIT).ok()?;
        let manifest: Manifest = serde_json::from_slice(&manifest).ok()?;
        let config = self.content.read(manifest.config.digest, MANIFEST_LIMIT).ok()?;
        Some((manifest, serde_json::from_slice(&config).ok()?))
    }
}
