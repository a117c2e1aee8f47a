//! Outputs of files: finished root file systems, and what is attested of them, to directories and archives.

use std::fs::{self, Permissions};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use snapshotter::{DirAttributes, Overlay, Root, attach};

use super::BuildError;
use super::finish::Part;
use super::outputs::{Outputs, blocking, to_destination};
use crate::attest::{Attestation, FileNames, StatementFileError, write_statements};
use crate::export::{self, ExportError, LocalMode, LocalOptions, OutputSpec, Ownership, platform_directory};

/// Mode of the directory of statements, which lies on top of the exported one.
const TOP_MODE: u32 = 0o755;

impl Outputs<'_> {
    /// Writes the files of all platforms, if that is what an output wants.
    /// `epoch` is `SOURCE_DATE_EPOCH`.
    pub(super) async fn write_files(
        &self,
        output: &OutputSpec,
        parts: &[Part<'_>],
        epoch: Option<i64>,
    ) -> Result<(), BuildError> {
        let options = match output {
            OutputSpec::Tar { files, .. } | OutputSpec::Local { files, .. } => files.clone(),
            OutputSpec::Image(_) | OutputSpec::Layout { .. } | OutputSpec::CacheOnly => return Ok(()),
        };
        let mut trees = Vec::new();
        for part in parts {
            if let Some(base) = &part.files.base {
                self.images.unpack(base, Some(self.step)).await?;
            }
            let mut attestations = self.attester.attestations(part, None)?;
            attestations.retain(|attestation| !attestation.inline_only);
            trees.push(Attested {
                platform: platform_directory(part.platform),
                view: part.files.view(&self.services.snapshots),
                attestations,
            });
        }
        let split = options.platform_split.unwrap_or(parts.len() > 1);
        let is_shared = parts.len() > 1 && !split;
        let lowered_to = options.epoch.of_files(epoch);
        let (output, scratch) = (output.clone(), self.services.scratch.path().to_owned());
        blocking(move || {
            let mut views = Vec::new();
            for tree in trees {
                let names = FileNames {
                    prefix: &options.attestation_prefix,
                    platform: is_shared.then_some(&tree.platform),
                };
                views.push((tree.platform.clone(), tree.with_statements(names, &scratch)?));
            }
            Ok::<_, StatementFileError>(write_trees(&output, &views, split, lowered_to, &scratch)?)
        })
        .await
    }
}

/// The files of one platform, and what is attested of them.
struct Attested {
    platform: String,
    view: Overlay,
    attestations: Vec<Attestation>,
}

impl Attested {
    /// Returns the files with the statements about them on top, in a layer of their own below `scratch`.
    fn with_statements(&self, names: FileNames<'_>, scratch: &Path) -> Result<Overlay, StatementFileError> {
        let mut view = self.view.clone();
        if self.attestations.is_empty() {
            return Ok(view);
        }
        let tree = Root::from_fd(view.mount().map_err(ExportError::from)?);
        let layer = tempfile::tempdir_in(scratch).map_err(ExportError::io("create a directory in", scratch))?;
        // It is mounted until the output is written, and goes with this process's scratch space.
        let layer = layer.keep();
        let mode = Permissions::from_mode(TOP_MODE);
        fs::set_permissions(&layer, mode).map_err(ExportError::io("change the mode of", &layer))?;
        write_statements(&self.attestations, &tree, &layer, names)?;
        view.lower.insert(0, layer);
        Ok(view)
    }
}

/// Writes mounted root file systems, each into a directory of its own if they are `split`. No file is younger than
/// `latest`, in seconds since 1970.
fn write_trees(
    output: &OutputSpec,
    views: &[(String, Overlay)],
    split: bool,
    latest: Option<i64>,
    scratch: &Path,
) -> Result<(), ExportError> {
    if let (OutputSpec::Tar { destination, .. }, true) = (output, split || views.len() > 1) {
        return to_destination(destination, |out| {
            export::write_tar(&gathered(views, scratch)?, latest, out).map(drop)
        });
    }
    let mut trees = Vec::new();
    for (name, view) in views {
        trees.push((name.as_str(), Root::from_fd(view.mount()?)));
    }
    if !split && trees.len() > 1 {
        export::refuse_collisions(trees.iter().map(|(name, tree)| (*name, tree)))?;
    }
    match output {
        OutputSpec::Tar { destination, .. } => {
            for (_, tree) in &trees {
                to_destination(destination, |out| export::write_tar(tree, latest, out).map(drop))?;
            }
        }
        OutputSpec::Local { directory, mode, .. } => {
            let places = trees.iter().map(|(name, tree)| (if split { *name } else { "" }, tree));
            let places: Vec<(&str, &Root)> = places.collect();
            if *mode == LocalMode::Delete {
                export::remove_stale(directory, &places)?;
            }
            let options = LocalOptions {
                ownership: Ownership::Mine,
                clamp_mtime: latest,
            };
            for (name, tree) in places {
                let directory = if split { &directory.join(name) } else { directory };
                export::write_local(tree, directory, options)?;
            }
        }
        OutputSpec::Image(_) | OutputSpec::Layout { .. } | OutputSpec::CacheOnly => {}
    }
    Ok(())
}

/// Mounts several root file systems beside each other, under their platforms' names.
fn gathered(views: &[(String, Overlay)], scratch: &Path) -> Result<Root, ExportError> {
    let place = tempfile::tempdir_in(scratch).map_err(ExportError::io("create a directory in", scratch))?;
    let tree = Root::open(place.path())?;
    for (name, view) in views {
        let target = tree.make_dirs(Path::new(name), &DirAttributes::default())?;
        attach(view.mount()?.as_fd(), target.as_fd())?;
    }
    // The mounts keep the directory busy; it goes with this process's scratch space and mount namespace.
    let _kept = place.keep();
    Ok(tree)
}
