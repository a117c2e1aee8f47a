//! `--cache-to` and `--cache-from` as typed, turned into what is meant.

use std::path::{Path, PathBuf};

use registry::compress::Compression;
use registry::oci::{Digest, Reference, ReferenceError};

use super::mounts::Mounts;
use super::objects::ObjectPlace;
use crate::attributes::{AttributeError, Attributes};
use crate::export::take_compression;

/// The longest tag of a cache in a registry: an entry's tag is this, a dash and 64 hex digits, of at most 128.
const LONGEST_TAG: usize = 63;
/// The tag of a cache that is given none.
const DEFAULT_TAG: &str = "latest";

/// Where records are looked for: one `--cache-from`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CacheFrom {
    /// `type=registry`: a cache in a registry, or an image that brings its own.
    Registry {
        /// `ref`.
        reference: Reference,
        /// `registry.insecure`: plain HTTP or an unverified certificate will do.
        insecure: bool,
    },
    /// `type=local`: a directory.
    Directory {
        /// `src`.
        directory: PathBuf,
        /// Which of the caches in it.
        which: Which,
    },
    /// `type=s3` and `type=gha`: a store of objects.
    Objects(ObjectPlace),
}

/// One of the caches in a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Which {
    /// `tag`: the last one that was exported under it.
    Tag(String),
    /// `digest`: that one, whatever was exported since.
    Digest(Digest),
}

/// Where records are brought: one `--cache-to`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CacheTo {
    /// `type=registry`: a cache in a registry.
    Registry {
        /// `ref`.
        reference: Reference,
        /// `registry.insecure`: plain HTTP or an unverified certificate will do.
        insecure: bool,
        /// What is exported, and how.
        options: ExportOptions,
    },
    /// `type=local`: a directory.
    Directory {
        /// `dest`.
        directory: PathBuf,
        /// `tag`.
        tag: String,
        /// `reset`: whatever nothing names after the export is removed.
        reset: bool,
        /// What is exported, and how.
        options: ExportOptions,
    },
    /// `type=s3` and `type=gha`: a store of objects.
    Objects {
        /// Which.
        place: ObjectPlace,
        /// What is exported, and how.
        options: ExportOptions,
    },
    /// `type=inline`: in the image itself.
    Inline,
}

/// What the meaning of a text depends on beside the text.
pub struct Surroundings<'a> {
    /// Makes paths absolute.
    pub absolute: &'a dyn Fn(&Path) -> PathBuf,
    /// Variables of the environment: credentials, and where a service is.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

/// What is exported, and how.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ExportOptions {
    /// `mode`.
    pub mode: Mode,
    /// `compression` and `compression-level` of new layers; `None` is as in the image.
    pub compression: Option<Compression>,
    /// `force-compression`: layers that came from a cache are compressed anew too.
    pub force_compression: bool,
    /// `ignore-error=false`: a failure fails the build, of which otherwise only a warning tells.
    pub must_succeed: bool,
    /// `mounts`: which cache mounts travel.
    pub mounts: Mounts,
}

/// `mode`: which results are exported.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// Those that the image consists of.
    #[default]
    Min,
    /// Those of every step.
    Max,
}

/// Why a `--cache-to` or `--cache-from` is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CacheSpecError {
    /// An attribute is wrong or unknown.
    #[error(transparent)]
    Attribute(#[from] AttributeError),
    /// A reference is none.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// No such type, or none that is supported.
    #[error("`type={0}` is not supported; there are `registry`, `local`, `inline`, `s3` and `gha`")]
    Type(String),
    /// An inline cache is found by the name of the image.
    #[error("an inline cache is imported with `type=registry,ref=IMAGE`")]
    InlineFrom,
    /// A value that BuildKit knows and croze does not.
    #[error("`{0}` is not supported")]
    Unsupported(&'static str),
    /// What neither the text nor the environment says.
    #[error("`{key}` is missing, and so is `${variable}`")]
    Unset {
        /// The key.
        key: &'static str,
        /// The variable.
        variable: &'static str,
    },
    /// Entries could not have tags.
    #[error("the tag of a cache may have at most {LONGEST_TAG} characters")]
    LongTag,
    /// Entries are added under the tag.
    #[error("a cache is exported under a tag, not under a digest")]
    Pinned,
}

impl CacheFrom {
    /// Reads the value of one `--cache-from`: attributes, or a reference alone.
    ///
    /// # Errors
    /// If it says what is not understood, or not meant here.
    pub fn parse(text: &str, surroundings: &Surroundings<'_>) -> Result<Self, CacheSpecError> {
        let mut attributes = attributes(text)?;
        let from = match attributes.require("type")?.as_str() {
            "registry" => Self::Registry {
                reference: take_reference(&mut attributes)?,
                insecure: attributes.take_flag("registry.insecure")?.unwrap_or(false),
            },
            "local" => {
                let tag = take_tag(&mut attributes)?;
                let digest = attributes.take_as("digest", "a digest", |text| text.parse().ok())?;
                Self::Directory {
                    directory: (surroundings.absolute)(Path::new(&attributes.require("src")?)),
                    which: digest.map_or(Which::Tag(tag), Which::Digest),
                }
            }
            "inline" => return Err(CacheSpecError::InlineFrom),
            "s3" => Self::Objects(ObjectPlace::take_s3(&mut attributes, surroundings)?),
            "gha" => Self::Objects(ObjectPlace::take_actions(&mut attributes, surroundings)?),
            other => return Err(CacheSpecError::Type(other.to_owned())),
        };
        attributes.finish()?;
        Ok(from)
    }
}

impl CacheTo {
    /// Reads the value of one `--cache-to`: attributes, or a reference alone.
    ///
    /// # Errors
    /// If it says what is not understood, or not meant here.
    pub fn parse(text: &str, surroundings: &Surroundings<'_>) -> Result<Self, CacheSpecError> {
        let mut attributes = attributes(text)?;
        let to = match attributes.require("type")?.as_str() {
            "registry" => {
                let reference = take_reference(&mut attributes)?;
                if reference.digest().is_some() {
                    return Err(CacheSpecError::Pinned);
                }
                Self::Registry {
                    reference,
                    insecure: attributes.take_flag("registry.insecure")?.unwrap_or(false),
                    options: ExportOptions::take(&mut attributes)?,
                }
            }
            "local" => Self::Directory {
                directory: (surroundings.absolute)(Path::new(&attributes.require("dest")?)),
                tag: take_tag(&mut attributes)?,
                reset: attributes.take_flag("reset")?.unwrap_or(false),
                options: ExportOptions::take(&mut attributes)?,
            },
            "inline" => match take_mode(&mut attributes)? {
                Some(Mode::Max) => return Err(CacheSpecError::Unsupported("type=inline,mode=max")),
                Some(Mode::Min) | None => Self::Inline,
            },
            "s3" => Self::Objects {
                place: ObjectPlace::take_s3(&mut attributes, surroundings)?,
                options: ExportOptions::take(&mut attributes)?,
            },
            "gha" => Self::Objects {
                place: ObjectPlace::take_actions(&mut attributes, surroundings)?,
                options: ExportOptions::take(&mut attributes)?,
            },
            other => return Err(CacheSpecError::Type(other.to_owned())),
        };
        attributes.finish()?;
        Ok(to)
    }

    /// Returns the tag that tells the cache from others in the same repository or directory.
    pub fn tag(&self) -> &str {
        match self {
            Self::Registry { reference, .. } => reference.tag().unwrap_or(DEFAULT_TAG),
            Self::Directory { tag, .. } => tag,
            Self::Objects { place, .. } => place.name(),
            Self::Inline => "",
        }
    }

    /// Returns what is exported, and how; an inline cache is part of the image.
    pub fn options(&self) -> Option<&ExportOptions> {
        match self {
            Self::Registry { options, .. } | Self::Directory { options, .. } | Self::Objects { options, .. } => {
                Some(options)
            }
            Self::Inline => None,
        }
    }
}

impl ExportOptions {
    fn take(attributes: &mut Attributes) -> Result<Self, CacheSpecError> {
        // Entries are OCI image manifests: these ask for what is always done.
        if attributes.take_flag("image-manifest")? == Some(false) {
            return Err(CacheSpecError::Unsupported("image-manifest=false"));
        }
        if attributes.take_flag("oci-mediatypes")? == Some(false) {
            return Err(CacheSpecError::Unsupported("oci-mediatypes=false"));
        }
        Ok(Self {
            mode: take_mode(attributes)?.unwrap_or_default(),
            compression: take_compression(attributes)?,
            force_compression: attributes.take_flag("force-compression")?.unwrap_or(false),
            must_succeed: attributes.take_flag("ignore-error")? == Some(false),
            mounts: Mounts::take(attributes)?,
        })
    }
}

/// Reads attributes; a text without any is a reference, as in buildx.
fn attributes(text: &str) -> Result<Attributes, CacheSpecError> {
    let text = if text.contains('=') {
        text.to_owned()
    } else {
        format!("type=registry,ref={text}")
    };
    Ok(Attributes::parse(&text)?)
}

fn take_reference(attributes: &mut Attributes) -> Result<Reference, CacheSpecError> {
    let reference: Reference = attributes.require("ref")?.parse()?;
    match reference.tag() {
        Some(tag) if tag.len() > LONGEST_TAG => Err(CacheSpecError::LongTag),
        _ => Ok(reference),
    }
}

fn take_tag(attributes: &mut Attributes) -> Result<String, CacheSpecError> {
    Ok(attributes.take("tag")?.unwrap_or_else(|| DEFAULT_TAG.to_owned()))
}

fn take_mode(attributes: &mut Attributes) -> Result<Option<Mode>, CacheSpecError> {
    let mode = attributes.take_as("mode", "`min` or `max`", |text| match text {
        "min" => Some(Mode::Min),
        "max" => Some(Mode::Max),
        _ => None,
    });
    Ok(mode?)
}

#[cfg(test)]
mod tests;
