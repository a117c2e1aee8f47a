//! Outputs of images: to registries and layouts.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::Arc;

use futures_util::future::try_join_all;
use registry::client::{BlobSource, ClientError};
use registry::oci::{Descriptor, Reference};
use tokio_util::sync::CancellationToken;

use super::attest::Attester;
use super::finish::Part;
use super::layers::{self, MadeOf, ShipError, Shipper};
use super::variant::Variant;
use super::writing::Writing;
use super::{BuildError, Services};
use crate::cancellation::Cancellable;
use crate::export::{
    self, AnnotationTarget, Destination, Document, ExportError, Image, Layout, LayoutPlace, OutputFile, OutputSpec,
};
use crate::image::{BaseImage, BaseImages};
use crate::ops::Ops;
use crate::progress::{Progress, StepId};

/// What outputs work with.
pub(super) struct Outputs<'a> {
    pub(super) services: &'a Services,
    pub(super) progress: &'a Progress,
    pub(super) images: &'a Arc<BaseImages>,
    pub(super) attester: &'a Attester<'a>,
    pub(super) ops: &'a Ops,
    pub(super) shipper: &'a Shipper,
    pub(super) writing: &'a Writing,
    pub(super) step: StepId,
}

/// Why a push failed: at the registry, or on the way to it.
enum PushError {
    Client(ClientError),
    Other(Box<BuildError>),
}

impl PushError {
    /// Tells what was pushed when it happened.
    fn of(self, name: &Reference) -> BuildError {
        match self {
            Self::Client(source) => BuildError::Push {
                reference: name.familiar(),
                source: Box::new(source),
            },
            Self::Other(error) => *error,
        }
    }
}

impl From<ClientError> for PushError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<ShipError> for PushError {
    fn from(error: ShipError) -> Self {
        match error {
            ShipError::Push(error) => Self::Client(error),
            error => Self::Other(Box::new(BuildError::Layer(Arc::new(error)))),
        }
    }
}

impl From<BuildError> for PushError {
    fn from(error: BuildError) -> Self {
        Self::Other(Box::new(error))
    }
}

/// Reports that this machine kept an image from being pushed.
fn not_pushed(name: &Reference) -> impl FnOnce(io::Error) -> BuildError {
    let name = name.familiar();
    move |source| ExportError::io("push", name)(source).into()
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
                self.bring_layers(image, parts).await?;
                let (image, names, form, place) = (image.clone(), variant.names.clone(), *form, place.clone());
                let annotations = match image.without_index() {
                    Some(only) => (AnnotationTarget::ManifestDescriptor, Some(only.platform.clone())),
                    None => (AnnotationTarget::IndexDescriptor, None),
                };
                let annotations = variant.options.annotations_for(annotations.0, annotations.1.as_ref());
                let content = self.services.content.clone();
                let write = move |cancel: &CancellationToken| {
                    let layout = Layout::new(&image, &names, form)?.annotated(&annotations);
                    match &place {
                        LayoutPlace::Directory(directory) => {
                            export::write_directory(&layout, &content, directory, cancel)
                        }
                        LayoutPlace::Archive(to) => {
                            to_destination(to, cancel, |out| export::write_archive(&layout, &content, out))
                        }
                    }
                };
                self.writing.run(write).await
            }
            // Whoever uses the image by its name finds its layers in the store only.
            None | Some(OutputSpec::Image(_)) if !variant.names.is_empty() => self.bring_layers(image, parts).await,
            _ => Ok(()),
        }
    }

    /// Brings those layers of an image into the store that nobody has needed so far.
    async fn bring_layers(&self, image: &Image, parts: &[Part<'_>]) -> Result<(), BuildError> {
        for base in parts.iter().filter_map(|part| part.base.as_ref()) {
            let fetched = base
                .layers
                .iter()
                .map(|layer| self.images.ensure_blob(base, layer, Some(self.step)));
            try_join_all(fetched).await?;
        }
        let layers = parts.iter().flat_map(|part| part.files.layers.iter());
        let imported = layers.filter_map(|layer| layer.imported.as_ref());
        let used = image.layers();
        let used = imported.filter(|layer| used.iter().any(|used| used.digest == layer.blob.descriptor.digest));
        let fetched = used.map(|layer| self.shipper.imports.ensure_blob(layer, Some(self.step)));
        try_join_all(fetched).await.map(drop)?;
        Ok(())
    }

    /// Pushes an image under all its names, to all repositories at once.
    async fn push(&self, variant: &Variant, image: &Image, parts: &[Part<'_>]) -> Result<(), BuildError> {
        let mut repositories: BTreeMap<(&str, &str), Vec<&Reference>> = BTreeMap::new();
        for name in &variant.names {
            let repository = (name.registry(), name.repository());
            repositories.entry(repository).or_default().push(name);
        }
        let pushes = repositories
            .values()
            .map(|names| self.push_to(names, variant, image, parts));
        try_join_all(pushes).await.map(drop)
    }

    /// Pushes an image under its names in one repository: what it is made of once, then each name.
    async fn push_to(
        &self,
        names: &[&Reference],
        variant: &Variant,
        image: &Image,
        parts: &[Part<'_>],
    ) -> Result<(), BuildError> {
        let root = &image.root().descriptor;
        let places = names.iter().map(|name| match variant.by_digest() {
            true => name.untagged(root.digest),
            false => (*name).clone(),
        });
        let places: BTreeSet<Reference> = places.collect();
        let lacking = try_join_all(places.iter().map(async |place| {
            let is_there = self.is_there(place, image).await;
            let is_there = is_there.map_err(|error| PushError::from(error).of(place))?;
            Ok::<_, BuildError>((!is_there).then_some(place))
        }));
        let lacking: Vec<&Reference> = lacking.await?.into_iter().flatten().collect();
        let Some(first) = lacking.first() else {
            return Ok(());
        };
        let pushed = self.push_content(first, variant, image, parts).await;
        pushed.map_err(|error| error.of(first))?;
        try_join_all(lacking.iter().map(async |place| {
            let named = self.push_root(place, image).await;
            named.map_err(|error| error.of(place))
        }))
        .await
        .map(drop)
    }

    /// Returns whether a name stands for the image already.
    async fn is_there(&self, place: &Reference, image: &Image) -> Result<bool, ClientError> {
        let root = &image.root().descriptor;
        let there = self.services.client.head(place).await?;
        let is_there = there.is_some_and(|there| there.digest == root.digest);
        if is_there {
            let found = place.with_digest(root.digest);
            self.progress
                .outcome(self.step, format!("finding manifest of {found} in its registry"));
        }
        Ok(is_there)
    }

    /// Gives the image a name in a repository that has all that it is made of.
    async fn push_root(&self, place: &Reference, image: &Image) -> Result<(), PushError> {
        let Document { descriptor, bytes } = image.root();
        let client = &self.services.client;
        fault::point("push.manifest").map_err(not_pushed(place))?;
        client
            .push_manifest(place, &descriptor.media_type, bytes.clone().into())
            .await?;
        let pushed = place.with_digest(descriptor.digest);
        self.progress
            .outcome(self.step, format!("pushing manifest for {pushed}"));
        Ok(fault::point("push.pushed").map_err(not_pushed(place))?)
    }

    /// Pushes all of an image but its root.
    async fn push_content(
        &self,
        name: &Reference,
        variant: &Variant,
        image: &Image,
        parts: &[Part<'_>],
    ) -> Result<(), PushError> {
        let client = &self.services.client;
        fault::point("push.blobs").map_err(not_pushed(name))?;
        let blobs = parts.iter().zip(image.manifests()).flat_map(|(part, built)| {
            let below = part.base.as_ref().map_or(0, |base| base.layers.len());
            let layers = built.layers.iter().enumerate();
            layers.map(move |(position, layer)| match position.checked_sub(below) {
                Some(own) => (None, part.files.layers.get(own), layer),
                None => (part.base.as_ref().map(|base| (base, position)), None, layer),
            })
        });
        let layers = try_join_all(blobs.map(|(base, own, layer)| async move {
            match base.filter(|_| !variant.options.force_compression) {
                Some((base, position)) => self.push_base_layer(name, base, position).await,
                None => {
                    let of = own.map(|own| MadeOf(own, variant.format));
                    let pushed = self.shipper.push(name, layer, of, &[], &self.report(layer)).await;
                    pushed.map_err(PushError::from)
                }
            }
        }));
        let configs = try_join_all(image.manifests().iter().map(|built| async move {
            let config = BlobSource::Bytes(built.config.bytes.clone().into());
            let pushed = client.push_blob(name, &built.config.descriptor, config, &[], &|_| {});
            Ok::<_, PushError>(pushed.await.map(drop)?)
        }));
        let attested = image.attestations().iter();
        let attested = attested.flat_map(|attestations| attestations.statements.iter().chain([&attestations.config]));
        let statements = try_join_all(attested.map(|document| async move {
            let content = BlobSource::Bytes(document.bytes.clone().into());
            let pushed = client.push_blob(name, &document.descriptor, content, &[], &|_| {});
            Ok::<_, PushError>(pushed.await.map(drop)?)
        }));
        tokio::try_join!(layers, configs, statements)?;
        if image.without_index().is_none() {
            // The subjects first: a registry may want to know them when their attestations come.
            let images = image.manifests().iter().map(|built| &built.manifest);
            let attestations = image.attestations().iter().map(|attested| &attested.manifest);
            for Document { descriptor, bytes } in images.chain(attestations) {
                let place = name.untagged(descriptor.digest);
                client
                    .push_manifest(&place, &descriptor.media_type, bytes.clone().into())
                    .await?;
            }
        }
        Ok(())
    }

    /// Pushes a layer of a base: by mount where the registry has it, else from the store, else from where it is.
    async fn push_base_layer(&self, to: &Reference, base: &BaseImage, position: usize) -> Result<(), PushError> {
        let Some(layer) = base.layers.get(position) else {
            return Ok(());
        };
        let _turn = self.shipper.upload_turn().await?;
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
            Err(error) => {
                let verified = layers::verify(&self.services.content, &layer.descriptor).await;
                verified.map_err(BuildError::from)?;
                Err(error.into())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn push_blob(&self, to: &Reference, blob: &Descriptor, from: &[Reference]) -> Result<(), ClientError> {
        let source = BlobSource::File(self.services.content.blob_path(blob.digest));
        self.services
            .client
            .push_blob(to, blob, source, from, &self.report(blob))
            .await
            .map(drop)
    }

    /// Returns what shows how much of a blob has been sent.
    fn report<'a>(&'a self, blob: &'a Descriptor) -> impl Fn(u64) + Send + Sync + 'a {
        let name = blob.digest.to_string();
        move |sent| {
            self.progress
                .transfer(self.step, name.as_str(), sent, Some(blob.size), sent == blob.size);
        }
    }
}

/// Writes to standard output or to a file that appears when it is complete.
pub(super) fn to_destination(
    destination: &Destination,
    cancel: &CancellationToken,
    write: impl FnOnce(&mut dyn Write) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    match destination {
        Destination::Stdout => {
            let inner = io::stdout().lock();
            let mut out = io::BufWriter::with_capacity(1 << 20, Cancellable { inner, cancel });
            write(&mut out)?;
            out.flush().map_err(ExportError::io("write to", "standard output"))
        }
        Destination::File(path) => {
            let inner = OutputFile::create(path)?;
            let mut file = Cancellable { inner, cancel };
            write(&mut file)?;
            file.inner.commit()
        }
    }
}
