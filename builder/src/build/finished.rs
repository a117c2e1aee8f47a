//! What a build has come to, and the files that tell it to others.

use std::path::PathBuf;

use registry::oci::{Platform, Reference};
use serde_json::{Map, Value};

use super::{BuildError, Interrupt};
use crate::export::{self, ExportError, Image};

/// What a build has come to.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The image, if any output wanted one; the pushed one if there are several forms of it.
    pub image: Option<Image>,
    /// Its names.
    pub names: Vec<Reference>,
    /// How each platform's result was made, if that is attested, as metadata tells it.
    pub provenance: Vec<(Platform, Value)>,
}

impl Finished {
    /// Returns what `--metadata-file` tells.
    ///
    /// # Errors
    /// Only if a value cannot be written as JSON.
    pub fn metadata(&self) -> Result<Map<String, Value>, ExportError> {
        let mut metadata = export::provenance_metadata(&self.provenance);
        if let Some(image) = &self.image {
            metadata.extend(export::metadata(image, &self.names)?);
        }
        Ok(metadata)
    }

    /// Writes the files of `--metadata-file` and `--iidfile`. One may be a FIFO that nobody reads: an interrupt ends that.
    ///
    /// # Errors
    /// If one cannot be written, or the build is interrupted.
    pub async fn tell(
        &self,
        metadata: Option<PathBuf>,
        id: Option<PathBuf>,
        interrupt: &Interrupt,
    ) -> Result<(), BuildError> {
        let (told, image) = (self.metadata()?, self.image.clone());
        let telling = tokio::task::spawn_blocking(move || {
            if let Some(path) = metadata {
                export::write_metadata(&path, &told)?;
            }
            if let (Some(path), Some(image)) = (id, image) {
                export::write_image_id(&path, &image)?;
            }
            Ok::<_, ExportError>(())
        });
        let told = interrupt.cancel.run_until_cancelled(telling).await;
        let told = told.ok_or(BuildError::Cancelled)?;
        Ok(told.map_err(BuildError::panicked("metadata"))??)
    }
}
