//! Choices about an image that every image output has.

use std::collections::BTreeMap;

use registry::compress::Compression;
use registry::oci::{Platform, Reference};

use super::OutputSpecError;
use crate::attributes::{AttributeError, Attributes};
use crate::image::MediaTypes;

/// What `--output` may choose about the image itself.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ImageOptions {
    /// `name`: names beside those of `--tag`.
    pub names: Vec<Reference>,
    /// `compression` and `compression-level` of new layers; `None` leaves it to the build.
    pub compression: Option<Compression>,
    /// `force-compression`: layers of base images are compressed anew too.
    pub force_compression: bool,
    /// `oci-mediatypes`.
    pub media_types: MediaTypes,
    /// `oci-artifact`: as what attestations lie beside the image.
    pub artifact_form: ArtifactForm,
    /// `annotation….key=value`.
    pub annotations: Vec<Annotation>,
    /// `rewrite-timestamp`: times in new layers are lowered to `SOURCE_DATE_EPOCH`.
    pub rewrite_timestamp: bool,
    /// `source-date-epoch`: the time that counts for this output.
    pub source_date_epoch: OutputEpoch,
}

/// As what attestations lie beside an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ArtifactForm {
    /// As an OCI artifact, whose subject is the image.
    #[default]
    Artifact,
    /// As an image without a platform: for registries that know no artifacts.
    Image,
}

/// Which time counts for an output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OutputEpoch {
    /// That of the build.
    #[default]
    OfBuild,
    /// That of the build for config and history, but no times of files are lowered: an empty value.
    NotInFiles,
    /// This one, in seconds since 1970.
    At(i64),
}

impl OutputEpoch {
    /// Reads `source-date-epoch`.
    pub(super) fn take(attributes: &mut Attributes) -> Result<Self, OutputSpecError> {
        let epoch = attributes.take_as("source-date-epoch", "a number of seconds", |text| match text {
            "" => Some(Self::NotInFiles),
            text => text.parse().ok().map(Self::At),
        })?;
        Ok(epoch.unwrap_or_default())
    }

    /// Returns the time of config and history; `of_build` is `SOURCE_DATE_EPOCH`.
    pub fn of_image(self, of_build: Option<i64>) -> Option<i64> {
        match self {
            Self::OfBuild | Self::NotInFiles => of_build,
            Self::At(time) => Some(time),
        }
    }

    /// Returns the time to which those of files are lowered; `of_build` is `SOURCE_DATE_EPOCH`.
    pub fn of_files(self, of_build: Option<i64>) -> Option<i64> {
        match self {
            Self::NotInFiles => None,
            Self::OfBuild | Self::At(_) => self.of_image(of_build),
        }
    }
}

/// One `annotation[-TARGET][[PLATFORM]].KEY=VALUE`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Annotation {
    /// What it is put on.
    pub target: AnnotationTarget,
    /// Only for this platform; for all if `None`.
    pub platform: Option<Platform>,
    /// The annotation's name.
    pub key: String,
    /// The annotation's text.
    pub value: String,
}

/// What an annotation is put on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnnotationTarget {
    /// Each platform's manifest.
    Manifest,
    /// The entry of the index that names a manifest.
    ManifestDescriptor,
    /// The index.
    Index,
    /// The entry of a layout's `index.json` that names the index.
    IndexDescriptor,
}

impl ImageOptions {
    /// Returns the annotations of a target for a platform; a later one replaces an earlier one.
    pub fn annotations_for(&self, target: AnnotationTarget, platform: Option<&Platform>) -> BTreeMap<String, String> {
        let applies = |annotation: &&Annotation| {
            annotation.target == target && (annotation.platform.is_none() || annotation.platform.as_ref() == platform)
        };
        let pair = |annotation: &Annotation| (annotation.key.clone(), annotation.value.clone());
        self.annotations.iter().filter(applies).map(pair).collect()
    }

    pub(super) fn take(attributes: &mut Attributes) -> Result<Self, OutputSpecError> {
        let names = attributes.take("name")?.unwrap_or_default();
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        let force_compression = attributes.take_flag("force-compression")?.unwrap_or(false);
        Ok(Self {
            names: names.map(str::parse).collect::<Result<_, _>>()?,
            compression: take_compression(attributes)?,
            force_compression,
            media_types: match attributes.take_flag("oci-mediatypes")? {
                Some(false) => MediaTypes::Docker,
                _ => MediaTypes::Oci,
            },
            artifact_form: match attributes.take_flag("oci-artifact")? {
                Some(false) => ArtifactForm::Image,
                _ => ArtifactForm::Artifact,
            },
            annotations: take_annotations(attributes)?,
            rewrite_timestamp: attributes.take_flag("rewrite-timestamp")?.unwrap_or(false),
            source_date_epoch: OutputEpoch::take(attributes)?,
        })
    }
}

/// Takes `compression` and `compression-level`.
pub(crate) fn take_compression(attributes: &mut Attributes) -> Result<Option<Compression>, AttributeError> {
    let expected = "`uncompressed`, `gzip` or `zstd`";
    let compression = attributes.take_as("compression", expected, |text| match text {
        "uncompressed" => Some(Compression::None),
        "gzip" => Some(Compression::GZIP),
        "zstd" => Some(Compression::ZSTD),
        _ => None,
    })?;
    match compression {
        Some(Compression::None) => Ok(compression),
        Some(Compression::Zstd { .. }) => {
            let level = attributes.take_as("compression-level", "a level from 1 to 22", |text| {
                text.parse().ok().filter(|level| (1..=22).contains(level))
            })?;
            Ok(level.map(|level| Compression::Zstd { level }).or(compression))
        }
        // A level alone is one of gzip, which is what images are compressed with unless said otherwise.
        None | Some(Compression::Gzip { .. }) => {
            let level = attributes.take_as("compression-level", "a level from 0 to 9", |text| {
                text.parse().ok().filter(|level| *level <= 9)
            })?;
            Ok(level.map(|level| Compression::Gzip { level }).or(compression))
        }
    }
}

fn take_annotations(attributes: &mut Attributes) -> Result<Vec<Annotation>, OutputSpecError> {
    let read = |(rest, value): (String, String)| {
        let error = || OutputSpecError::Annotation(format!("annotation{rest}"));
        let (place, key) = match rest.find(']').map(|end| rest.split_at(end + 1)) {
            Some((place, key)) => (place, key.strip_prefix('.').ok_or_else(error)?),
            None => rest.split_once('.').ok_or_else(error)?,
        };
        let (target, platform) = match place.split_once('[') {
            Some((target, platform)) => (target, Some(platform.strip_suffix(']').ok_or_else(error)?)),
            None => (place, None),
        };
        if key.is_empty() {
            return Err(error());
        }
        Ok(Annotation {
            target: match target {
                "" | "-manifest" => AnnotationTarget::Manifest,
                "-manifest-descriptor" => AnnotationTarget::ManifestDescriptor,
                "-index" => AnnotationTarget::Index,
                "-index-descriptor" => AnnotationTarget::IndexDescriptor,
                _ => return Err(error()),
            },
            platform: platform.map(str::parse).transpose()?,
            key: key.to_owned(),
            value,
        })
    };
    attributes.take_prefixed("annotation")?.into_iter().map(read).collect()
}
