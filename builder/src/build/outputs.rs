//! Outputs: a finished image to registries and layouts, finished files to directories and archives.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use futures_util::future::try_join_all;
use registry::client::{BlobSource, ClientError};
use registry::oci::{Descriptor, Reference};
use snapshotter::{DirAttributes, Overlay, Root, attach};
use std::os::fd::AsFd as _;

use super::finish::Part;
use super::variant::Variant;
use super::{BuildError, Services};
use crate::export::{
    self, AnnotationTarget, Destination, ExportError, Image, Layout, LayoutPlace, LocalMode, LocalOptions, OutputFile,
    OutputSpec, Ownership, platform_directory,
};
use crate::image::{BaseImage, BaseImages};
use crate::progress::{Progress, StepId};

/// What outputs work with.
pub(super) struct Outputs<'a> {
    pub(super) services: &'a Services,
    pub(super) progress: &'a Progress,
    pub(super) images: &'a Arc<BaseImages>,
    pub(super) step: StepId,
}

/// Why a push failed: at the registry, or on the way to it.
enum PushError {
    Client(ClientError),
    Other(Box<BuildError>),
}

impl From<ClientError> for PushError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<BuildError> for PushError {
    fn from(error: BuildError) -> Self {
        Self::Other(Box::new(error))
    }
}

impl Outputs<'_> {
    /// Brings an image to where its output wants it.
    pub(super) async fn write_image(
        &self,
        variant: &Variant,
        image: &Image,
        parts: &[Part<'_>],
    ) -> Result<(), BuildError> {
        match &variant.output {
            Some(OutputSpec::Image(_)) if variant.is_pushed() => self.push(variant, image, parts).await,
            Some(OutputSpec::Layout { form, place, .. }) => {
                for base in parts.iter().filter_map(|part| part.base.as_ref()) {
                    let fetched = base
                        .layers
                        .iter()
                        .map(|layer| self.images.ensure_blob(base, layer, Some(self.step)));
                    try_join_all(fetched).await?;
                }
                let (image, names, form, place) = (image.clone(), variant.names.clone(), *form, place.clone());
                let annotations = match image.without_index() {
                    Some(only) => (AnnotationTarget::ManifestDescriptor, Some(only.platform.clone())),
                    None => (AnnotationTarget::IndexDescriptor, None),
                };
                let annotations = variant.options.annotations_for(annotations.0, annotations.1.as_ref());
                let content = self.services.content.clone();
                blocking(move || {
                    let layout = Layout::new(&image, &names, form)?.annotated(&annotations);
                    match &place {
                        LayoutPlace::Directory(directory) => export::write_directory(&layout, &content, directory),
                        LayoutPlace::Archive(to) => {
                            to_destination(to, |out| export::write_archive(&layout, &content, out))
                        }
                    }
                })
                .await
            }
            _ => Ok(()),
        }
    }

    async fn push(&self, variant: &Variant, image: &Image, parts: &[Part<'_>]) -> Result<(), BuildError> {
        try_join_all(variant.names.iter().map(|name| async move {
            let pushed = self.push_to(name, variant, image, parts).await;
            pushed.map_err(|error| match error {
                PushError::Client(source) => BuildError::Push {
                    reference: name.familiar(),
                    source: Box::new(source),
                },
                PushError::Other(error) => *error,
            })
        }))
        .await?;
        Ok(())
    }

    async fn push_to(
        &self,
        name: &Reference,
        variant: &Variant,
        image: &Image,
        parts: &[Part<'_>],
    ) -> Result<(), PushError> {
        let client = &self.services.client;
        let root = &image.root().descriptor;
        let place = if variant.by_digest() {
            name.untagged(root.digest)
        } else {
            name.clone()
        };
        if client
            .head(&place)
            .await?
            .is_some_and(|there| there.digest == root.digest)
        {
            return Ok(());
        }
        let blobs = parts.iter().zip(image.manifests()).flat_map(|(part, built)| {
            let base = part.base.as_ref().filter(|_| !variant.options.force_compression);
            let from_base = base.map_or(0, |base| base.layers.len());
            let layers = built.layers.iter().enumerate();
            layers.map(move |(position, layer)| (base.filter(|_| position < from_base), position, layer))
        });
        let layers = try_join_all(blobs.map(|(base, position, layer)| async move {
            match base {
                Some(base) => self.push_base_layer(name, base, position).await,
                None => Ok(self.push_blob(name, layer, &[]).await?),
            }
        }));
        let configs = try_join_all(image.manifests().iter().map(|built| async move {
            let config = BlobSource::Bytes(built.config.bytes.clone().into());
            let pushed = client.push_blob(name, &built.config.descriptor, config, &[], &|_| {});
            Ok::<_, PushError>(pushed.await.map(drop)?)
        }));
        tokio::try_join!(layers, configs)?;
        if image.without_index().is_none() {
            for built in image.manifests() {
                let (descriptor, bytes) = (&built.manifest.descriptor, built.manifest.bytes.clone());
                client
                    .push_manifest(&name.untagged(descriptor.digest), &descriptor.media_type, bytes.into())
                    .await?;
            }
        }
        client
            .push_manifest(&place, &root.media_type, image.root().bytes.clone().into())
            .await?;
        Ok(())
    }

    /// Pushes a layer of a base: by mount where the registry has it, else from the store, else from where it is.
    async fn push_base_layer(&self, to: &Reference, base: &BaseImage, position: usize) -> Result<(), PushError> {
        let Some(layer) = base.layers.get(position) else {
            return Ok(());
        };
        let from = [base.reference.clone()];
        let is_stored = || matches!(self.services.content.size(layer.descriptor.digest), Ok(Some(_)));
        match self.push_blob(to, &layer.descriptor, &from).await {
            Err(_) if !is_stored() => {
                self.images
                    .ensure_blob(base, layer, Some(self.step))
                    .await
                    .map_err(BuildError::from)?;
                Ok(self.push_blob(to, &layer.descriptor, &from).await?)
            }
            pushed => Ok(pushed?),
        }
    }

    async fn push_blob(&self, to: &Reference, blob: &Descriptor, from: &[Reference]) -> Result<(), ClientError> {
        let source = BlobSource::File(self.services.content.blob_path(blob.digest));
        let name = blob.digest.to_string();
        let report = |sent| {
            self.progress
                .transfer(self.step, name.as_str(), sent, Some(blob.size), sent == blob.size)
        };
        self.services
            .client
            .push_blob(to, blob, source, from, &report)
            .await
            .map(drop)
    }

    /// Writes the files of all platforms, if that is what an output wants.
    /// `epoch` is `SOURCE_DATE_EPOCH`.
    pub(super) async fn write_files(
        &self,
        output: &OutputSpec,
        parts: &[Part<'_>],
        epoch: Option<i64>,
    ) -> Result<(), BuildError> {
        let (platform_split, lowered_to) = match output {
            OutputSpec::Tar {
                platform_split,
                epoch: own,
                ..
            }
            | OutputSpec::Local {
                platform_split,
                epoch: own,
                ..
            } => (platform_split, own.of_files(epoch)),
            OutputSpec::Image(_) | OutputSpec::Layout { .. } | OutputSpec::CacheOnly => return Ok(()),
        };
        for part in parts {
            if let Some(base) = &part.files.base {
                self.images.unpack(base, Some(self.step)).await?;
            }
        }
        let split = platform_split.unwrap_or(parts.len() > 1);
        let views = parts.iter().map(|part| {
            (
                platform_directory(part.platform),
                part.files.view(&self.services.snapshots),
            )
        });
        let views: Vec<(String, Overlay)> = views.collect();
        let (output, scratch) = (output.clone(), self.services.scratch.path().to_owned());
        blocking(move || write_trees(&output, &views, split, lowered_to, &scratch)).await
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

/// Writes to standard output or to a file that appears when it is complete.
fn to_destination(
    destination: &Destination,
    write: impl FnOnce(&mut dyn Write) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    match destination {
        Destination::Stdout => {
            let mut out = io::BufWriter::with_capacity(1 << 20, io::stdout().lock());
            write(&mut out)?;
            out.flush().map_err(ExportError::io("write to", "standard output"))
        }
        Destination::File(path) => {
            let mut file = OutputFile::create(path)?;
            write(&mut file)?;
            file.commit()
        }
    }
}

async fn blocking(work: impl FnOnce() -> Result<(), ExportError> + Send + 'static) -> Result<(), BuildError> {
    Ok(tokio::task::spawn_blocking(work)
        .await
        .map_err(BuildError::panicked("export"))??)
}
