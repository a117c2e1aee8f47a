//! The end of a build: images are assembled, kept in the store, written out and pushed. Tags move last.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::try_join_all;
use registry::oci::{Descriptor, Digest, Index, Platform, Reference};

use super::attest::Attester;
use super::inline_cache::Inline;
use super::layers::LayerTasks;
use super::outputs::Outputs;
use super::shown::Shown;
use super::variant::Variant;
use super::writing::Writing;
use super::{BuildError, BuildRequest, Finished, Services};
use crate::attest::{Attestation, attestation_entry};
use crate::export::{AnnotationTarget, Document, Form, Image, OutputSpec, PlatformImage};
use crate::frontend::{Base, Lowered};
use crate::graph::VertexId;
use crate::image::assemble::{self, Choices, NewHistory, NewLayer, assemble};
use crate::image::{BaseImage, BaseImages};
use crate::ops::{Ops, Rootfs, Value};
use crate::progress::{Progress, StepId};

/// Annotation with which BuildKit marks layers whose times it lowered, and to what.
const REWRITTEN: &str = "buildkit/rewritten-timestamp";

/// One platform's result.
pub(super) struct Part<'a> {
    pub(super) platform: &'a Platform,
    pub(super) lowered: &'a Lowered,
    pub(super) files: Rootfs,
    pub(super) base: Option<Arc<BaseImage>>,
    /// What is in it.
    pub(super) sboms: Vec<Attestation>,
}

/// What the end of a build works with.
pub(super) struct Finish<'a> {
    pub(super) request: &'a BuildRequest,
    pub(super) services: &'a Services,
    pub(super) progress: &'a Progress,
    pub(super) images: &'a Arc<BaseImages>,
    pub(super) variants: &'a [Variant],
    /// `SOURCE_DATE_EPOCH`.
    pub(super) epoch: Option<i64>,
    pub(super) tasks: &'a LayerTasks,
    pub(super) attester: &'a Attester<'a>,
    pub(super) ops: &'a Ops,
    pub(super) writing: Writing,
    /// What the image itself tells the cache of others: `--cache-to type=inline`.
    pub(super) inline: Option<Inline<'a>>,
}

impl Finish<'_> {
    /// Does all of it, as one displayed step.
    pub(super) async fn run(
        &self,
        lowered: &[(Platform, Lowered)],
        scans: &[VertexId],
        value: impl Fn(VertexId) -> Option<Value>,
    ) -> Result<Finished, BuildError> {
        let name = match self.request.outputs.first() {
            None | Some(OutputSpec::Image(_)) => "exporting to image",
            Some(OutputSpec::Layout { form: Form::Oci, .. }) => "exporting to oci image format",
            Some(OutputSpec::Layout { form: Form::Docker, .. }) => "exporting to docker image format",
            Some(OutputSpec::Tar { .. }) => "exporting to client tarball",
            Some(OutputSpec::Local { .. }) => "exporting to client directory",
            Some(OutputSpec::CacheOnly) => "exporting to the cache only",
        };
        let shown = Shown::begin(self.progress, name, Digest::of(name.as_bytes()));
        let outcome = self.finish(lowered, scans, value, shown.step()).await;
        shown.end(&outcome);
        outcome
    }

    async fn finish(
        &self,
        lowered: &[(Platform, Lowered)],
        scans: &[VertexId],
        value: impl Fn(VertexId) -> Option<Value>,
        step: StepId,
    ) -> Result<Finished, BuildError> {
        let mut parts = Vec::new();
        for (number, (platform, lowered)) in lowered.iter().enumerate() {
            let files = match lowered.rootfs.and_then(&value) {
                Some(Value::Files(files)) => files,
                Some(Value::Context(_)) | None => Rootfs::default(),
            };
            let base = match &lowered.base {
                Some(base) => Some(self.base(base, platform).await?),
                None => None,
            };
            let scanned = scans.get(number).and_then(|scan| value(*scan));
            self.ensure_readable(scanned.as_ref(), step).await?;
            parts.push(Part {
                platform,
                lowered,
                files,
                base,
                sboms: self.attester.sboms(scanned).await?,
            });
        }
        let outputs = Outputs {
            services: self.services,
            progress: self.progress,
            images: self.images,
            attester: self.attester,
            ops: self.ops,
            shipper: self.tasks.shipper(),
            writing: &self.writing,
            step,
        };
        let mut finished = Finished {
            image: None,
            names: self.request.tags.clone(),
            provenance: Vec::new(),
        };
        let mut named = BTreeSet::new();
        for variant in self.variants {
            let image = self.image(variant, &parts, step).await?;
            self.keep(&image, step)?;
            outputs.write_image(variant, &image, &parts).await?;
            self.name(&image, variant, step, &mut named)?;
            if finished.image.is_none() || variant.is_pushed() {
                finished.image = Some(image);
                finished.names = variant.names.clone();
            }
        }
        for output in &self.request.outputs {
            outputs.write_files(output, &parts, self.epoch).await?;
        }
        for part in &parts {
            let summary = self.attester.summary(part)?;
            let summary = summary.map(|summary| (part.platform.clone(), summary));
            finished.provenance.extend(summary);
        }
        Ok(finished)
    }

    /// Makes sure that the topmost layer of a value has its snapshot.
    async fn ensure_readable(&self, value: Option<&Value>, step: StepId) -> Result<(), BuildError> {
        match value {
            Some(Value::Files(files)) => match files.layers.last().and_then(|layer| layer.imported.as_ref()) {
                Some(imported) => Ok(self.ops.imports.unpack(imported, Some(step)).await?),
                None => Ok(()),
            },
            Some(Value::Context(_)) | None => Ok(()),
        }
    }

    async fn base(&self, base: &Base, platform: &Platform) -> Result<Arc<BaseImage>, BuildError> {
        match self.images.by_manifest(base.image.manifest_digest) {
            Some(known) => Ok(known),
            None => Ok(self.images.resolve(&base.image.reference, platform).await?),
        }
    }

    /// Makes one form of the image: a manifest for one platform, an index for several.
    async fn image(&self, variant: &Variant, parts: &[Part<'_>], step: StepId) -> Result<Image, BuildError> {
        let mut manifests = try_join_all(parts.iter().map(|part| self.platform_image(variant, part, step))).await?;
        let (mut attestations, mut attested) = (Vec::new(), Vec::new());
        for (part, image) in parts.iter().zip(&manifests) {
            if let Some(manifest) = self.attester.manifest(variant, part, image)? {
                attested.push(attestation_entry(&manifest, &image.manifest.descriptor));
                attestations.push(manifest);
            }
        }
        if manifests.len() == 1 && attestations.is_empty() {
            return Ok(Image::single(manifests.remove(0)));
        }
        let options = &variant.options;
        let entries = manifests.iter().map(|image| {
            let platform = Some(image.platform.clone());
            let annotations = options.annotations_for(AnnotationTarget::ManifestDescriptor, platform.as_ref());
            Descriptor {
                platform,
                annotations,
                ..image.manifest.descriptor.clone()
            }
        });
        let mut annotations = self.request.annotations.index.clone();
        annotations.extend(options.annotations_for(AnnotationTarget::Index, None));
        let media_type = options.media_types.index();
        let index = Index {
            media_type: Some(media_type.into()),
            annotations,
            ..Index::new(entries.chain(attested).collect())
        };
        let index = Document::new(media_type, serde_json::to_vec(&index)?);
        Ok(Image::under_index(index, manifests, attestations))
    }

    async fn platform_image(
        &self,
        variant: &Variant,
        part: &Part<'_>,
        step: StepId,
    ) -> Result<PlatformImage, BuildError> {
        let blobs = try_join_all(part.files.layers.iter().map(|layer| async {
            let blob = self.tasks.finish(layer, variant.format).await?;
            let created = layer.created.clone();
            let mut descriptor = blob.descriptor;
            if let Some(time) = variant.format.clamp_mtime {
                descriptor.annotations.insert(REWRITTEN.to_owned(), time.to_string());
            }
            Ok::<_, BuildError>(NewLayer {
                descriptor,
                diff_id: blob.diff_id,
                created,
            })
        }));
        let mut blobs = blobs.await?.into_iter();
        let history = part.lowered.history.iter().map(|entry| NewHistory {
            created_by: entry.created_by.to_string(),
            comment: entry.comment,
            layer: entry.layer.and_then(|_| blobs.next()),
        });
        let history: Vec<NewHistory> = history.collect();
        let layers = match &part.base {
            Some(base) if variant.options.force_compression => self.recompress(variant, base, step).await?,
            Some(base) => base.descriptors(),
            None => Vec::new(),
        };
        let below = part.base.as_ref().map(|base| assemble::Base {
            layers: &layers,
            config: &base.config,
        });
        let mut annotations = self.request.annotations.manifest.clone();
        annotations.extend(
            variant
                .options
                .annotations_for(AnnotationTarget::Manifest, Some(part.platform)),
        );
        let epoch = variant
            .epoch
            .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        let choices = Choices {
            media_types: variant.options.media_types,
            annotations,
            epoch: epoch.map(|time| time.to_string()),
        };
        let mut config = part.lowered.config.clone();
        if let (Some(inline), Some(target)) = (&self.inline, part.lowered.rootfs) {
            inline.write(target, &part.files, layers.len(), variant.format, &mut config)?;
        }
        let made = assemble(below, config, &history, &choices)?;
        Ok(PlatformImage {
            platform: self.platform(part),
            manifest: Document {
                descriptor: made.manifest_descriptor,
                bytes: made.manifest,
            },
            config: Document {
                descriptor: made.config_descriptor,
                bytes: made.config,
            },
            layers: made.layers,
        })
    }

    /// Returns the platform that an image is for: where none was asked for, that of its config, which may be its base's.
    fn platform(&self, part: &Part<'_>) -> Platform {
        match self.request.platforms.is_empty() {
            true => part.lowered.config.platform(),
            false => part.platform.clone(),
        }
    }

    /// Compresses a base's layers as new ones are: `force-compression`.
    async fn recompress(
        &self,
        variant: &Variant,
        base: &Arc<BaseImage>,
        step: StepId,
    ) -> Result<Vec<Descriptor>, BuildError> {
        try_join_all(base.layers.iter().map(|layer| async {
            self.images.ensure_blob(base, layer, Some(step)).await?;
            let (packer, format, layer) = (self.services.packer(), variant.format, layer.clone());
            let made = tokio::task::spawn_blocking(move || packer.recompressed(&layer, format)).await;
            Ok(made.map_err(BuildError::panicked("recompression"))??.descriptor)
        }))
        .await
    }

    /// Keeps the documents in the store.
    fn keep(&self, image: &Image, step: StepId) -> Result<(), BuildError> {
        for document in image.documents() {
            self.services.content.put(&document.bytes)?;
        }
        let kind = if image.without_index().is_some() {
            "manifest"
        } else {
            "manifest list"
        };
        self.progress
            .outcome(step, format!("exporting {kind} {}", image.root().descriptor.digest));
        Ok(())
    }

    /// Gives the image its names, once it is where it was wanted: until then they stand for what they stood for.
    ///
    /// A name in the store means an image that is all there. Of one that was only pushed, the registry is asked: then the
    /// name must not stand for an earlier one here, unless another output of this build has just been given it.
    fn name<'a>(
        &self,
        image: &Image,
        variant: &'a Variant,
        step: StepId,
        named: &mut BTreeSet<&'a Reference>,
    ) -> Result<(), BuildError> {
        let (root, tags) = (&image.root().descriptor, self.services.state.tags());
        let is_whole = self.is_whole(image)?;
        for name in &variant.names {
            if is_whole {
                tags.set(name, root, &self.services.scratch)?;
                self.progress.outcome(step, format!("naming to {name}"));
                named.insert(name);
            } else if !variant.by_digest() && !named.contains(name) {
                tags.remove(name)?;
            }
        }
        Ok(())
    }

    /// Returns whether the store has all layers of an image.
    fn is_whole(&self, image: &Image) -> Result<bool, BuildError> {
        for layer in image.layers() {
            if self.services.content.size(layer.digest)? != Some(layer.size) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
