//! Reading a manifest or index so that nobody else can read it as something different. Pure.
//!
//! The same bytes under two types, or with the fields of two, mean different images to different readers with
//! one and the same digest (CVE-2021-41190); such bytes are refused.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::error::MalformedError;
use crate::oci::{Index, Manifest, MediaType};

/// The types that are asked for, in order of preference.
pub(super) const ACCEPTED: [&str; 4] = [
    MediaType::INDEX,
    MediaType::DOCKER_INDEX,
    MediaType::MANIFEST,
    MediaType::DOCKER_MANIFEST,
];

/// What the bytes of a manifest turned out to be.
#[derive(Debug)]
pub(super) enum Parsed {
    Manifest(Box<Manifest>),
    Index(Index),
}

/// The fields that tell the types apart. A field that comes twice is an error.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    schema_version: Option<u32>,
    media_type: Option<String>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    manifests: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
}

/// Returns the one type that `bytes` can have; `header` is the `Content-Type` they came with, or the type in
/// the index that led to them.
pub(super) fn media_type(bytes: &[u8], header: Option<&str>) -> Result<MediaType, MalformedError> {
    let shape: Shape = serde_json::from_slice(bytes).map_err(MalformedError::Json)?;
    let header = header.map(|header| header.split(';').next().unwrap_or(header).trim());
    if shape.fs_layers.is_some() || shape.schema_version == Some(1) {
        return Err(MalformedError::SchemaOne);
    }
    let media_type = match (shape.media_type, header) {
        (Some(body), Some(header)) if body != header => {
            return Err(MalformedError::TypesDiffer {
                body,
                header: header.to_owned(),
            });
        }
        (Some(body), _) => MediaType(body),
        (None, Some(header)) => header.into(),
        (None, None) => return Err(MalformedError::UnknownType(String::new())),
    };
    if !media_type.is_manifest() && !media_type.is_index() {
        return Err(MalformedError::UnknownType(media_type.0));
    }
    let (of_manifest, of_index) = (
        shape.layers.is_some() || shape.config.is_some(),
        shape.manifests.is_some(),
    );
    let complete = if media_type.is_index() {
        of_index
    } else {
        shape.layers.is_some() && shape.config.is_some()
    };
    match (of_manifest && of_index, complete) {
        (true, _) => Err(MalformedError::Ambiguous),
        (false, false) => Err(MalformedError::FieldsMissing(media_type)),
        (false, true) => Ok(media_type),
    }
}

/// Reads bytes whose type is known.
pub(super) fn parse(bytes: &[u8], media_type: &MediaType) -> Result<Parsed, MalformedError> {
    if media_type.is_index() {
        serde_json::from_slice(bytes)
            .map(Parsed::Index)
            .map_err(MalformedError::Json)
    } else {
        serde_json::from_slice(bytes)
            .map(|manifest| Parsed::Manifest(Box::new(manifest)))
            .map_err(MalformedError::Json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r1_bytes_that_can_be_read_in_two_ways_are_refused() {
        let (manifest, index) = (MediaType::MANIFEST, MediaType::INDEX);
        let body = |fields: &str| format!("{{\"schemaVersion\":2,{fields}}}");
        let image = r#""config":{},"layers":[]"#;
        for (fields, header, outcome) in [
            (image.to_owned(), Some(manifest), Ok(manifest)),
            (
                image.to_owned(),
                Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8"),
                Ok(manifest),
            ),
            (r#""manifests":[]"#.to_owned(), Some(index), Ok(index)),
            (format!("{image},\"mediaType\":\"{manifest}\""), None, Ok(manifest)),
            (
                format!("{image},\"mediaType\":\"{manifest}\""),
                Some(index),
                Err("says"),
            ),
            (
                format!("{image},\"mediaType\":\"{manifest}\""),
                Some(MediaType::DOCKER_MANIFEST),
                Err("says"),
            ),
            (
                format!("{image},\"manifests\":[]"),
                Some(manifest),
                Err("has the fields of a manifest and of an index"),
            ),
            (
                r#""config":{},"manifests":[]"#.to_owned(),
                Some(index),
                Err("has the fields of a manifest and"),
            ),
            (image.to_owned(), Some(index), Err("has not the fields")),
            (
                r#""manifests":[]"#.to_owned(),
                Some(manifest),
                Err("has not the fields"),
            ),
            (r#""layers":[]"#.to_owned(), Some(manifest), Err("has not the fields")),
            (image.to_owned(), None, Err("is not the type")),
            (image.to_owned(), Some("text/html"), Err("is not the type")),
            (image.to_owned(), Some("application/json"), Err("is not the type")),
            (r#""fsLayers":[]"#.to_owned(), Some(manifest), Err("schema 1")),
            (format!("{image},\"layers\":[]"), Some(manifest), Err("not the JSON")),
        ] {
            let found = media_type(body(&fields).as_bytes(), header);
            match (found, outcome) {
                (Ok(found), Ok(expected)) => assert_eq!(found.0, expected, "{fields}"),
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{fields}: {error}"),
                (found, expected) => panic!("{fields} {header:?}: {found:?} instead of {expected:?}"),
            }
        }
        assert!(media_type(b"<html>", Some(manifest)).is_err());
    }
}
