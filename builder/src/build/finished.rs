//! What a build has come to.

use registry::oci::{Platform, Reference};
use serde_json::{Map, Value};

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
}
