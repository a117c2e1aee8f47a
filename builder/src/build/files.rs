//! Outputs of files: finished root file systems, and what is attested of them, to directories and archives.

use snapshotter::{Root, SnapshotName, StackError, Stacks, View, Workspace, Writes};
use tokio_util::sync::CancellationToken;

use super::BuildError;
use super::finish::Part;
use super::outputs::{Outputs, to_destination};
use crate::attest::{Attestation, FileNames, StatementFileError, write_statements};
use crate::export::{self, ExportError, LocalMode, LocalOptions, OutputSpec, Ownership, platform_directory};

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
            let unpacked = self.ops.unpack(&part.files, Some(self.step)).await;
            unpacked.map_err(|error| BuildError::Files(Box::new(error)))?;
            let mut attestations = self.attester.attestations(part, None)?;
            attestations.retain(|attestation| !attestation.inline_only);
            trees.push(Attested {
                platform: platform_directory(part.platform),
                chain: part.files.chain(),
                attestations,
            });
        }
        let split = options.platform_split.unwrap_or(parts.len() > 1);
        let is_shared = parts.len() > 1 && !split;
        let lowered_to = options.epoch.of_files(epoch);
        let (output, stacks) = (output.clone(), self.services.stacks.clone());
        let write = move |cancel: &CancellationToken| {
            let mut shown = Vec::new();
            for tree in &trees {
                let names = FileNames {
                    prefix: &options.attestation_prefix,
                    platform: is_shared.then_some(&tree.platform),
                };
                shown.push((tree.platform.as_str(), tree.with_statements(names, &stacks)?));
            }
            let mut roots = Vec::new();
            for (platform, shown) in &shown {
                roots.push((*platform, shown.open().map_err(ExportError::from)?));
            }
            Ok::<_, StatementFileError>(write_trees(&output, &roots, split, lowered_to, cancel)?)
        };
        self.writing.run(write).await
    }
}

/// The files of one platform, and what is attested of them.
struct Attested {
    platform: String,
    chain: Vec<SnapshotName>,
    attestations: Vec<Attestation>,
}

/// Finished files, for as long as they are read.
enum Shown {
    AsTheyAre(View),
    WithStatements(Workspace),
}

impl Attested {
    /// Shows the files with the statements about them in their midst; nothing of that is kept.
    fn with_statements(&self, names: FileNames<'_>, stacks: &Stacks) -> Result<Shown, StatementFileError> {
        if self.attestations.is_empty() {
            let view = stacks.view(&self.chain).map_err(ExportError::from)?;
            return Ok(Shown::AsTheyAre(view));
        }
        let workspace = stacks.workspace(&self.chain, Writes::NewFiles);
        let workspace = workspace.map_err(ExportError::from)?;
        let root = workspace.root().map_err(ExportError::from)?;
        write_statements(&self.attestations, root, names)?;
        Ok(Shown::WithStatements(workspace))
    }
}

impl Shown {
    fn open(&self) -> Result<Root, StackError> {
        match self {
            Self::AsTheyAre(view) => view.open(),
            Self::WithStatements(workspace) => Ok(workspace.root()?.try_clone()?),
        }
    }
}

/// Writes root file systems, each into a directory of its own if they are `split`. No file is younger than
/// `latest`, in seconds since 1970.
fn write_trees(
    output: &OutputSpec,
    trees: &[(&str, Root)],
    split: bool,
    latest: Option<i64>,
    cancel: &CancellationToken,
) -> Result<(), ExportError> {
    if let (OutputSpec::Tar { destination, .. }, true) = (output, split || trees.len() > 1) {
        let trees: Vec<(&str, &Root)> = trees.iter().map(|(name, tree)| (*name, tree)).collect();
        return to_destination(destination, cancel, |out| {
            export::write_tars(trees, latest, out).map(drop)
        });
    }
    if !split && trees.len() > 1 {
        export::refuse_collisions(trees.iter().map(|(name, tree)| (*name, tree)))?;
    }
    match output {
        OutputSpec::Tar { destination, .. } => {
            for (_, tree) in trees {
                to_destination(destination, cancel, |out| {
                    export::write_tar(tree, latest, out).map(drop)
                })?;
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
                export::write_local(tree, directory, options, cancel)?;
            }
        }
        OutputSpec::Image(_) | OutputSpec::Layout { .. } | OutputSpec::CacheOnly => {}
    }
    Ok(())
}
