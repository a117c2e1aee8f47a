//! From a reference to a base image: asked of the registry once a build, remembered by digest for ever.
//!
//! A tag costs one request in each build; what its digest means (manifest and config for a platform) is
//! kept in the content store with a small record, so that a build whose bases did not move asks no more.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use registry::client::ClientError;
use registry::oci::{ChainId, Descriptor, Digest, Platform, Reference};
use tokio::sync::OnceCell;

use super::stored::StoredImages;
use super::transfer::Transfer;
use super::{BaseImage, LayoutImage, PullError};
use crate::state_dir::{Tags, note};

/// The longest manifest or config that is read back from the store, in bytes.
pub(super) const MAX_DOCUMENT: u64 = 8 << 20;

/// An image that is being asked for, or was; whoever comes second waits for the answer to the first.
type Asked = Arc<OnceCell<Arc<BaseImage>>>;

/// The images that one build names.
pub struct BaseImages {
    pub(super) transfer: Transfer,
    /// Directory of the records: what an index or manifest means for a platform.
    records: PathBuf,
    /// A directory of this process's own on the same file system.
    scratch: PathBuf,
    /// What the store has; its names come before the registry's.
    stored: StoredImages,
    /// Images of layouts on disk, by the digest that their references have.
    layouts: HashMap<Digest, LayoutImage>,
    named: Mutex<HashMap<(Reference, Platform), Asked>>,
    found: Mutex<Vec<Arc<BaseImage>>>,
    pins: Mutex<Vec<ImagePin>>,
}

/// What the name of an image meant in this build.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImagePin {
    /// The name as it was asked for.
    pub named: Reference,
    /// For which platform.
    pub platform: Platform,
    /// What the name stood for: an index or a manifest.
    pub digest: Digest,
    /// The manifest for the platform.
    pub manifest: Digest,
}

impl ImagePin {
    /// Returns whether a reference names the manifest that the name stood for.
    pub fn manifest_is(&self, reference: &Reference) -> bool {
        reference.digest() == Some(self.manifest)
    }
}

impl BaseImages {
    /// Resolves and keeps documents by `transfer`, and notes in the directory `records`, written by way of `scratch`; the
    /// images in `local` are known without asking.
    pub fn new(transfer: Transfer, records: PathBuf, scratch: PathBuf, local: Option<Tags>) -> Self {
        Self {
            stored: StoredImages::new(local, transfer.content.clone()),
            transfer,
            records,
            scratch,
            layouts: HashMap::new(),
            named: Mutex::default(),
            found: Mutex::default(),
            pins: Mutex::default(),
        }
    }

    /// Knows images of layouts beside those of registries.
    #[must_use]
    pub fn with_layouts(mut self, layouts: impl IntoIterator<Item = LayoutImage>) -> Self {
        let layouts = layouts.into_iter().map(|image| (image.descriptor.digest, image));
        self.layouts.extend(layouts);
        self
    }

    /// Returns the image that a reference means for a platform; asked once, however often it is named.
    ///
    /// # Errors
    /// If the registry does not have it, cannot be reached, or sends what is not an image.
    pub async fn resolve(&self, reference: &Reference, platform: &Platform) -> Result<Arc<BaseImage>, PullError> {
        // The frontend names what it has resolved by its manifest.
        if let Some(known) = reference.digest().and_then(|digest| self.by_manifest(digest)) {
            return Ok(known);
        }
        let cell = {
            let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(named.entry((reference.clone(), platform.clone())).or_default())
        };
        let base = cell.get_or_try_init(|| self.find(reference, platform)).await?;
        Ok(Arc::clone(base))
    }

    /// Returns an image of this build by the identity of its files.
    pub fn by_chain(&self, chain: ChainId) -> Option<Arc<BaseImage>> {
        self.found_where(|base| base.chain_id() == Some(chain))
    }

    /// Returns an image of this build by its manifest.
    pub fn by_manifest(&self, manifest: Digest) -> Option<Arc<BaseImage>> {
        self.found_where(|base| base.manifest.digest == manifest)
    }

    /// Returns what each name has meant so far, in the order of the answers.
    pub fn pins(&self) -> Vec<ImagePin> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn found_where(&self, is_wanted: impl Fn(&BaseImage) -> bool) -> Option<Arc<BaseImage>> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.iter().find(|base| is_wanted(base)).cloned()
    }

    async fn find(&self, reference: &Reference, platform: &Platform) -> Result<Arc<BaseImage>, PullError> {
        let stored = self.stored.named(reference);
        let is_stored = stored.is_some();
        let stored = stored.filter(|image| self.stored.is_for(image, platform));
        let named = match (&stored, reference.digest()) {
            (Some(descriptor), _) => descriptor.digest,
            (None, Some(digest)) => digest,
            (None, None) => match self.transfer.client.head(reference).await {
                Ok(Some(descriptor)) => descriptor.digest,
                Ok(None) if !is_stored => return Err(PullError::NotFound(reference.familiar())),
                Err(error) if !is_stored => return Err(error.into()),
                unknown => return Err(for_others(reference, platform, unknown.err())),
            },
        };
        if let Some(image) = self.layouts.get(&named) {
            let (image, content, wanted) = (image.clone(), self.transfer.content.clone(), platform.clone());
            let import = tokio::task::spawn_blocking(move || image.import(&wanted, &content));
            let manifest = import.await.map_err(|_| PullError::Lost)??;
            self.remember(named, platform, &manifest);
        }
        let base = match self.recorded(reference, stored, named, platform) {
            Some(base) => base,
            None => self.fetch_documents(reference, named, platform).await?,
        };
        self.found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::clone(&base));
        self.pins.lock().unwrap_or_else(PoisonError::into_inner).push(ImagePin {
            named: reference.clone(),
            platform: platform.clone(),
            digest: named,
            manifest: base.manifest.digest,
        });
        Ok(base)
    }

    async fn fetch_documents(
        &self,
        reference: &Reference,
        named: Digest,
        platform: &Platform,
    ) -> Result<Arc<BaseImage>, PullError> {
        let image = self
            .transfer
            .client
            .image(&reference.with_digest(named), platform)
            .await?;
        self.transfer.content.put(&image.manifest_bytes)?;
        self.transfer.content.put(&image.config_bytes)?;
        self.remember(named, platform, &image.manifest_descriptor);
        let base = BaseImage::new(
            image.reference,
            image.manifest_descriptor,
            image.manifest.layers,
            image.config,
        )?;
        Ok(base)
    }

    /// Returns the image that the store has under its name, or remembers for what its name stands for.
    fn recorded(
        &self,
        reference: &Reference,
        stored: Option<Descriptor>,
        named: Digest,
        platform: &Platform,
    ) -> Option<Arc<BaseImage>> {
        let image = stored.or_else(|| note::read(&self.record(named, platform)))?;
        let documents = self.stored.documents(&image, platform)?;
        BaseImage::new(
            reference.with_digest(documents.descriptor.digest),
            documents.descriptor,
            documents.manifest.layers,
            documents.config,
        )
        .ok()
    }

    /// Notes what a digest means for a platform. A note that cannot be written costs only a request later.
    fn remember(&self, named: Digest, platform: &Platform, manifest: &Descriptor) {
        let _asked_again = note::write(&self.record(named, platform), &self.scratch, manifest);
    }

    fn record(&self, named: Digest, platform: &Platform) -> PathBuf {
        self.records
            .join(Digest::of(format!("{named} {platform}").as_bytes()).hex())
    }
}

/// Reports an image that the store has for other platforms only.
fn for_others(reference: &Reference, platform: &Platform, source: Option<ClientError>) -> PullError {
    PullError::ForOthers {
        image: reference.familiar(),
        platform: platform.to_string(),
        source: source.map(Box::new),
    }
}
