//! The end of a build: images are assembled, kept in the store, written out and pushed. Tags move last.

use std::sync::Arc;

use futures_util::future::try_join_all;
use registry::client::{BlobSource, ClientError};
use registry::oci::{Descriptor, Digest, Index, MediaType, Platform, Reference};
use snapshotter::Root;

use super::layers::LayerTasks;
use super::{BuildError, BuildRequest, Services};
use crate::export::{self, Image, OutputSpec, PlatformImage};
use crate::frontend::{Base, Lowered};
use crate::graph::VertexId;
use crate::image::assemble::{self, Assembled, NewHistory, NewLayer, assemble};
use crate::image::{BaseImage, BaseImages};
use crate::ops::{Rootfs, Value};
use crate::progress::{Progress, StepId};

/// What a build has come to.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The image, if the outputs needed one: not for files alone.
    pub image: Option<Built>,
    /// Its names.
    pub tags: Vec<Reference>,
}

/// A finished image.
#[derive(Clone, Debug)]
pub struct Built {
    /// The manifest, or the index of several.
    pub descriptor: Descriptor,
    /// The config of the only platform: the image's id. For several, the index.
    pub id: Digest,
}

/// What the end of a build works with.
pub(super) struct Finish<'a> {
    pub(super) request: &'a BuildRequest,
    pub(super) services: &'a Services,
    pub(super) progress: &'a Progress,
    pub(super) images: &'a Arc<BaseImages>,
    /// `None` if no output needs an image.
    pub(super) tasks: Option<Arc<LayerTasks>>,
}

/// One platform's result.
struct Part {
    platform: Platform,
    files: Rootfs,
    base: Option<Arc<BaseImage>>,
    assembled: Option<Assembled>,
}

impl Finish<'_> {
    pub(super) async fn run(
        self,
        lowered: &[(Platform, Lowered)],
        value: impl Fn(VertexId) -> Option<Value>,
    ) -> Result<Finished, BuildError> {
        let step = self.progress.declare("exporting to image", Digest::of(b"exporting to image"), Vec::new());
        self.progress.started(step);
        let outcome = self.finish(lowered, value, step).await;
        self.progress.completed(step, outcome.as_ref().err().map(ToString::to_string));
        outcome
    }

    async fn finish(
        &self,
        lowered: &[(Platform, Lowered)],
        value: impl Fn(VertexId) -> Option<Value>,
        step: StepId,
    ) -> Result<Finished, BuildError> {
        let mut parts = Vec::new();
        for (platform, lowered) in lowered {
            let files = match lowered.rootfs.and_then(&value) {
                Some(Value::Files(files)) => files,
                Some(Value::Context(_)) | None => Rootfs::default(),
            };
            let base = match &lowered.base {
                Some(base) => Some(self.base(base, platform).await?),
                None => None,
            };
            let assembled = match &self.tasks {
                Some(tasks) => Some(self.assemble(lowered, &files, base.as_deref(), tasks).await?),
                None => None,
            };
            parts.push(Part { platform: platform.clone(), files, base, assembled });
        }
        let image = self.image(&parts)?;
        if let Some(image) = &image {
            self.keep(image)?;
        }
        for output in &self.request.outputs {
            match (output, &image) {
                (output, Some(image)) if output.is_push() => self.push(image, &parts, step).await?,
                (output, image) => self.export(output, image.as_ref(), &parts, step).await?,
            }
        }
        let built = image.map(|image| Built { id: image.id(), descriptor: image.descriptor });
        Ok(Finished { image: built, tags: self.request.tags.clone() })
    }

    async fn base(&self, base: &Base, platform: &Platform) -> Result<Arc<BaseImage>, BuildError> {
        match self.images.by_manifest(base.image.manifest_digest) {
            Some(known) => Ok(known),
            None => Ok(self.images.resolve(&base.image.reference, platform).await?),
        }
    }

    async fn assemble(
        &self,
        lowered: &Lowered,
        files: &Rootfs,
        base: Option<&BaseImage>,
        tasks: &LayerTasks,
    ) -> Result<Assembled, BuildError> {
        let blobs = try_join_all(files.layers.iter().map(|layer| async move {
            let blob = tasks.finish(&layer.snapshot).await?;
            Ok::<_, BuildError>(NewLayer {
                descriptor: blob.descriptor,
                diff_id: blob.diff_id,
                created: layer.created.clone(),
            })
        }));
        let mut blobs = blobs.await?.into_iter();
        let history: Vec<NewHistory> = lowered
            .history
            .iter()
            .map(|entry| NewHistory {
                created_by: entry.created_by.clone(),
                comment: entry.comment,
                layer: entry.layer.and_then(|_| blobs.next()),
            })
            .collect();
        let layers = base.map(BaseImage::descriptors).unwrap_or_default();
        let below = base.map(|base| assemble::Base { layers: &layers, config: &base.config });
        let epoch = self.request.source_date_epoch.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        let epoch = epoch.map(|time| time.to_string());
        let annotations = self.request.annotations.manifest.clone();
        Ok(assemble(below, lowered.config.clone(), &history, annotations, epoch.as_deref())?)
    }

    /// Joins the platforms: one is a manifest, several are an index.
    fn image(&self, parts: &[Part]) -> Result<Option<Image>, BuildError> {
        let platforms: Vec<PlatformImage> = parts
            .iter()
            .filter_map(|part| {
                let assembled = part.assembled.as_ref()?;
                Some(PlatformImage {
                    platform: part.platform.clone(),
                    manifest: assembled.manifest.clone(),
                    manifest_descriptor: assembled.manifest_descriptor.clone(),
                    config: assembled.config.clone(),
                    config_descriptor: assembled.config_descriptor.clone(),
                    layers: assembled.layers.clone(),
                })
            })
            .collect();
        let Some(first) = platforms.first() else { return Ok(None) };
        let (descriptor, index) = if platforms.len() == 1 {
            (first.manifest_descriptor.clone(), None)
        } else {
            let manifests = platforms.iter().map(|image| Descriptor {
                platform: Some(image.platform.clone()),
                ..image.manifest_descriptor.clone()
            });
            let annotations = self.request.annotations.index.clone();
            let index = serde_json::to_vec(&Index { annotations, ..Index::new(manifests.collect()) })?;
            (Descriptor::of(MediaType::INDEX, &index), Some(index))
        };
        Ok(Some(Image { descriptor, index, platforms, names: self.request.tags.clone() }))
    }

    /// Keeps the documents in the store, and the tags last.
    fn keep(&self, image: &Image) -> Result<(), BuildError> {
        let documents = image.platforms.iter().flat_map(|part| [&part.config, &part.manifest]).chain(&image.index);
        for document in documents {
            self.services.content.put(document)?;
        }
        for tag in &self.request.tags {
            self.services.state.tags().set(tag, &image.descriptor, &self.services.scratch)?;
        }
        Ok(())
    }

    async fn push(&self, image: &Image, parts: &[Part], step: StepId) -> Result<(), BuildError> {
        try_join_all(self.request.tags.iter().map(|tag| async move {
            let pushed = self.push_to(tag, image, parts, step).await;
            pushed.map_err(|error| match error {
                PushError::Client(source) => BuildError::Push { reference: tag.familiar(), source },
                PushError::Other(error) => *error,
            })
        }))
        .await?;
        Ok(())
    }

    async fn push_to(&self, tag: &Reference, image: &Image, parts: &[Part], step: StepId) -> Result<(), PushError> {
        let client = &self.services.client;
        let there = client.head(tag).await?;
        if there.is_some_and(|there| there.digest == image.descriptor.digest) {
            return Ok(());
        }
        let blobs = parts.iter().zip(&image.platforms).flat_map(|(part, built)| {
            let base_layers = part.base.as_ref().map_or(0, |base| base.layers.len());
            let layers = built.layers.iter().enumerate();
            layers.map(move |(position, layer)| (part.base.as_ref().filter(|_| position < base_layers), position, layer))
        });
        try_join_all(blobs.map(|(base, position, layer)| async move {
            match base {
                Some(base) => self.push_base_layer(tag, base, position, step).await,
                None => self.push_blob(tag, layer, &[], step).await.map_err(PushError::from),
            }
        }))
        .await?;
        for part in &image.platforms {
            let config = BlobSource::Bytes(part.config.clone().into());
            client.push_blob(tag, &part.config_descriptor, config, &[], &|_| {}).await?;
        }
        if image.index.is_some() {
            for part in &image.platforms {
                let place = tag.untagged(part.manifest_descriptor.digest);
                client.push_manifest(&place, &part.manifest_descriptor.media_type, part.manifest.clone().into()).await?;
            }
        }
        let top = image.index.as_ref().or_else(|| image.platforms.first().map(|part| &part.manifest));
        let bytes = top.cloned().unwrap_or_default();
        client.push_manifest(tag, &image.descriptor.media_type, bytes.into()).await?;
        Ok(())
    }

    /// Pushes a layer of a base: by mount where the registry has it, else from the store, else from where it is.
    async fn push_base_layer(&self, tag: &Reference, base: &BaseImage, position: usize, step: StepId) -> Result<(), PushError> {
        let Some(layer) = base.layers.get(position) else { return Ok(()) };
        let from = [base.reference.clone()];
        match self.push_blob(tag, &layer.descriptor, &from, step).await {
            Err(_) if !self.is_stored(&layer.descriptor) => {
                self.images.ensure_blob(base, layer, Some(step)).await.map_err(BuildError::from)?;
                Ok(self.push_blob(tag, &layer.descriptor, &from, step).await?)
            }
            pushed => Ok(pushed?),
        }
    }

    async fn push_blob(&self, tag: &Reference, blob: &Descriptor, from: &[Reference], step: StepId) -> Result<(), ClientError> {
        let source = BlobSource::File(self.services.content.blob_path(blob.digest));
        let name = blob.digest.to_string();
        let report = |sent| self.progress.transfer(step, name.as_str(), sent, Some(blob.size), sent == blob.size);
        self.services.client.push_blob(tag, blob, source, from, &report).await.map(drop)
    }

    fn is_stored(&self, blob: &Descriptor) -> bool {
        matches!(self.services.content.size(blob.digest), Ok(Some(_)))
    }

    /// Writes an output other than a registry.
    async fn export(&self, output: &OutputSpec, image: Option<&Image>, parts: &[Part], step: StepId) -> Result<(), BuildError> {
        if output.needs_blobs() {
            for base in parts.iter().filter_map(|part| part.base.as_ref()) {
                try_join_all(base.layers.iter().map(|layer| self.images.ensure_blob(base, layer, Some(step)))).await?;
            }
        }
        let mut views = Vec::new();
        if output.needs_files() {
            for part in parts {
                if let Some(base) = &part.files.base {
                    self.images.unpack(base, Some(step)).await?;
                }
                let view = part.files.view(&self.services.snapshots).mount()?;
                views.push((part.platform.clone(), Root::from_fd(view)));
            }
        }
        let (output, image, content) = (output.clone(), image.cloned(), self.services.content.clone());
        let written = tokio::task::spawn_blocking(move || export::write(&output, image.as_ref(), &views, &content));
        written.await.map_err(|panic| BuildError::Panicked { name: "export".to_owned(), message: panic.to_string() })??;
        Ok(())
    }
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
