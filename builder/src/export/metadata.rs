//! What a build tells about its image in files: `--metadata-file` and `--iidfile`.

use std::io::Write as _;
use std::path::Path;

use registry::oci::{Digest, Platform, Reference};
use serde_json::{Map, Value};

use super::layout::root_descriptor;
use super::{ExportError, Image, OutputFile};

/// Returns the metadata of an image under BuildKit's keys.
///
/// The digest is that of the index where there is one; only an image for one platform has a config digest.
pub fn metadata(image: &Image, names: &[Reference]) -> Result<Map<String, Value>, ExportError> {
    let mut metadata = Map::new();
    if let Some(single) = image.without_index() {
        let config = single.config.descriptor.digest.to_string();
        metadata.insert("containerimage.config.digest".to_owned(), config.into());
    }
    let descriptor = serde_json::to_value(root_descriptor(image)).map_err(ExportError::Json)?;
    metadata.insert("containerimage.descriptor".to_owned(), descriptor);
    let digest = image.root().descriptor.digest.to_string();
    metadata.insert("containerimage.digest".to_owned(), digest.into());
    if !names.is_empty() {
        let names: Vec<String> = names.iter().map(Reference::to_string).collect();
        metadata.insert("image.name".to_owned(), names.join(",").into());
    }
    Ok(metadata)
}

/// Returns how results were made under buildx's key, to which the platform is added if there are several.
pub fn provenance_metadata(provenance: &[(Platform, Value)]) -> Map<String, Value> {
    const KEY: &str = "buildx.build.provenance";
    let several = provenance.len() > 1;
    let key = |platform: &Platform| {
        if several {
            format!("{KEY}/{platform}")
        } else {
            KEY.to_owned()
        }
    };
    let entries = provenance.iter().map(|(platform, told)| (key(platform), told.clone()));
    entries.collect()
}

/// Writes metadata for `--metadata-file`.
pub fn write_metadata(path: &Path, metadata: &Map<String, Value>) -> Result<(), ExportError> {
    let mut text = serde_json::to_vec_pretty(metadata).map_err(ExportError::Json)?;
    text.push(b'\n');
    write(path, &text)
}

/// Returns what Docker calls the image's id: the config's digest, or the index's for several platforms.
pub fn image_id(image: &Image) -> Digest {
    let described = image.without_index().map_or(image.root(), |image| &image.config);
    described.descriptor.digest
}

/// Writes the image's id for `--iidfile`, without a line's end, as Docker does.
pub fn write_image_id(path: &Path, image: &Image) -> Result<(), ExportError> {
    write(path, image_id(image).to_string().as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ExportError> {
    let mut file = OutputFile::create(path)?;
    file.write_all(bytes).map_err(ExportError::io("write", path))?;
    file.commit()
}
