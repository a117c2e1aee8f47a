//! `--cache-to` and `--cache-from` as typed, turned into what is meant.

use std::path::{Path, PathBuf};

use registry::compress::Compression;
use registry::oci::{Digest, Reference, ReferenceError};

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
    /// `type=inline`: in the image itself.
    Inline,
}

/// What is exported, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ExportOptions {
    /// `mode`.
    pub mode: Mode,
    /// `compression` and `compression-level` of new layers; `None` is as in the image.
    pub compression: Option<Compression>,
    /// `force-compression`: layers that came from a cache are compressed anew too.
    pub force_compression: bool,
    /// `ignore-error`: a failure is only warned of.
    pub ignore_error: bool,
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
    #[error("`type={0}` is not supported; there are `registry`, `local` and `inline`")]
    Type(String),
    /// An inline cache is found by the name of the image.
    #[error("an inline cache is imported with `type=registry,ref=IMAGE`")]
    InlineFrom,
    /// A value that BuildKit knows and croze does not.
    #[error("`{0}` is not supported")]
    Unsupported(&'static str),
    /// Entries could not have tags.
    #[error("the tag of a cache may have at most {LONGEST_TAG} characters")]
    LongTag,
    /// Entries are added under the tag.
    #[error("a cache is exported under a tag, not under a digest")]
    Pinned,
}

impl CacheFrom {
    /// Reads the value of one `--cache-from`: attributes, or a reference alone; `absolute` makes paths so.
    ///
    /// # Errors
    /// If it says what is not understood, or not meant here.
    pub fn parse(text: &str, absolute: impl Fn(&Path) -> PathBuf) -> Result<Self, CacheSpecError> {
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
                    directory: absolute(Path::new(&attributes.require("src")?)),
                    which: digest.map_or(Which::Tag(tag), Which::Digest),
                }
            }
            "inline" => return Err(CacheSpecError::InlineFrom),
            other => return Err(CacheSpecError::Type(other.to_owned())),
        };
        attributes.finish()?;
        Ok(from)
    }
}

impl CacheTo {
    /// Reads the value of one `--cache-to`: attributes, or a reference alone; `absolute` makes paths so.
    ///
    /// # Errors
    /// If it says what is not understood, or not meant here.
    pub fn parse(text: &str, absolute: impl Fn(&Path) -> PathBuf) -> Result<Self, CacheSpecError> {
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
                directory: absolute(Path::new(&attributes.require("dest")?)),
                tag: take_tag(&mut attributes)?,
                reset: attributes.take_flag("reset")?.unwrap_or(false),
                options: ExportOptions::take(&mut attributes)?,
            },
            "inline" => match take_mode(&mut attributes)? {
                Some(Mode::Max) => return Err(CacheSpecError::Unsupported("type=inline,mode=max")),
                Some(Mode::Min) | None => Self::Inline,
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
            Self::Inline => "",
        }
    }

    /// Returns what is exported, and how; an inline cache is part of the image.
    pub fn options(&self) -> Option<&ExportOptions> {
        match self {
            Self::Registry { options, .. } | Self::Directory { options, .. } => Some(options),
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
            ignore_error: attributes.take_flag("ignore-error")?.unwrap_or(false),
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
mod tests {
    use super::*;

    fn to(text: &str) -> Result<CacheTo, CacheSpecError> {
        CacheTo::parse(text, |path| Path::new("/here").join(path))
    }

    fn from(text: &str) -> Result<CacheFrom, CacheSpecError> {
        CacheFrom::parse(text, |path| Path::new("/here").join(path))
    }

    #[test]
    fn what_is_understood_is_kept() {
        let registry = |options| CacheTo::Registry {
            reference: "example.com/a:cache".parse().unwrap(),
            insecure: false,
            options,
        };
        assert_eq!(to("example.com/a:cache"), Ok(registry(ExportOptions::default())));
        let all = "type=registry,ref=example.com/a:cache,mode=max,image-manifest=true,oci-mediatypes=true,\
                   compression=zstd,compression-level=9,force-compression=true,ignore-error=true";
        let options = ExportOptions {
            mode: Mode::Max,
            compression: Some(Compression::Zstd { level: 9 }),
            force_compression: true,
            ignore_error: true,
        };
        assert_eq!(to(all), Ok(registry(options)));
        let local = CacheTo::Directory {
            directory: "/here/cache".into(),
            tag: "t".to_owned(),
            reset: true,
            options: ExportOptions::default(),
        };
        assert_eq!(to("type=local,dest=cache,tag=t,reset=true"), Ok(local));
        assert_eq!(to("type=inline"), Ok(CacheTo::Inline));
        let directory = |which| CacheFrom::Directory {
            directory: "/cache".into(),
            which,
        };
        let digest = Digest::of(b"");
        assert_eq!(
            from("type=local,src=/cache"),
            Ok(directory(Which::Tag("latest".into())))
        );
        let pinned = format!("type=local,src=/cache,digest={digest}");
        assert_eq!(from(&pinned), Ok(directory(Which::Digest(digest))));
        assert!(from(&format!("type=registry,ref=a@{digest},registry.insecure")).is_ok());
    }

    #[test]
    fn what_is_not_is_refused_by_name() {
        let long = format!("type=registry,ref=a:{}", "x".repeat(64));
        let pinned = format!("a@{}", Digest::of(b""));
        for (text, said) in [
            ("type=s3,bucket=b", "`type=s3` is not supported; there are `registry`"),
            ("type=gha", "`type=gha` is not supported"),
            ("type=registry", "`ref` is missing"),
            ("type=registry,ref=A", "not an image reference"),
            ("type=registry,ref=a,mode=mid", "`mode` must be `min` or `max`"),
            ("type=registry,ref=a,image-manifest=false", "`image-manifest=false`"),
            ("type=registry,ref=a,oci-mediatypes=false", "`oci-mediatypes=false`"),
            ("type=registry,ref=a,reset=true", "`reset` is not known here"),
            ("type=local,dest=d,src=e", "`src` is not known here"),
            ("type=inline,mode=max", "`type=inline,mode=max`"),
            ("type=inline,ref=a", "`ref` is not known here"),
            ("ref=a", "`type` is missing"),
            (long.as_str(), "at most 63"),
            (pinned.as_str(), "under a tag"),
        ] {
            let error = to(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
        for (text, said) in [
            ("type=inline", "type=registry,ref=IMAGE"),
            ("type=local,dest=d", "`src` is missing"),
            ("type=local,src=d,digest=x", "must be a digest"),
            ("type=registry,ref=a,mode=max", "`mode` is not known here"),
        ] {
            let error = from(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
