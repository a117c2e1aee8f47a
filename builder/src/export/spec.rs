//! `--output` as typed, turned into what is meant.

use std::path::PathBuf;

use registry::oci::{PlatformError, ReferenceError};

use super::{Form, ImageOptions, OutputEpoch};
use crate::attributes::{AttributeError, Attributes};
use crate::diagnostic::nearest;

/// Where and as what a build's result goes.
#[derive(Clone, PartialEq, Debug)]
pub enum OutputSpec {
    /// `type=image` or `type=registry`: under its name in the store, or in a registry.
    Image(ImageOutput),
    /// `type=oci` or `type=docker`: an image layout.
    Layout {
        /// Which files it has.
        form: Form,
        /// Where it goes.
        place: LayoutPlace,
        /// Choices about the image.
        options: ImageOptions,
    },
    /// `type=tar`: the root file system as a tar.
    Tar {
        /// Where it goes.
        destination: Destination,
        /// Choices about the files.
        files: FilesOptions,
    },
    /// `type=local`: the root file system as files.
    Local {
        /// The directory that the files are put into.
        directory: PathBuf,
        /// Choices about the files.
        files: FilesOptions,
        /// `mode`: what becomes of files that are there.
        mode: LocalMode,
    },
    /// `type=cacheonly`: nowhere.
    CacheOnly,
}

/// What becomes of the files of a directory that the result does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LocalMode {
    /// They stay.
    #[default]
    Copy,
    /// They are deleted.
    Delete,
}

/// Choices about exported files.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FilesOptions {
    /// `platform-split`: whether each platform has a directory of its own; if several, when `None`.
    pub platform_split: Option<bool>,
    /// `source-date-epoch`: the time that no file is younger than.
    pub epoch: OutputEpoch,
    /// `attestation-prefix`: how the names of attestations begin.
    pub attestation_prefix: String,
}

/// An image that keeps its name.
#[derive(Clone, PartialEq, Debug)]
pub struct ImageOutput {
    /// `push`: to the registries that the names name, instead of the store.
    pub push: bool,
    /// `push-by-digest`: no tag is set in the registry.
    pub by_digest: bool,
    /// `registry.insecure`: plain HTTP or an unverified certificate will do.
    pub insecure: bool,
    /// Choices about the image.
    pub options: ImageOptions,
}

/// Where a stream goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// A file.
    File(PathBuf),
}

/// Where a layout goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LayoutPlace {
    /// As a tar.
    Archive(Destination),
    /// `tar=false`: into a directory.
    Directory(PathBuf),
}

/// Why an `--output` is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OutputSpecError {
    /// An attribute is wrong or unknown.
    #[error(transparent)]
    Attribute(#[from] AttributeError),
    /// No such type.
    #[error(
        "`{given}` is no output type{}; there are `local`, `tar`, `oci`, `docker`, `image`, `registry` and `cacheonly`",
        near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default()
    )]
    Type {
        /// What was given.
        given: String,
        /// A type like it.
        near: Option<&'static str>,
    },
    /// A name is no reference.
    #[error(transparent)]
    Name(#[from] ReferenceError),
    /// An annotation's platform is none.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// An annotation's key is malformed.
    #[error("`{0}` is no annotation: write `annotation[-index|-manifest|…][[PLATFORM]].KEY`")]
    Annotation(String),
    /// Files cannot go to standard output.
    #[error("`type={0}` writes files, so `dest` must be a directory, not standard output")]
    NeedsDirectory(&'static str),
    /// A value that BuildKit knows and croze does not.
    #[error("`{0}` is not supported")]
    Unsupported(&'static str),
    /// Two attributes that exclude each other.
    #[error("`{0}` makes sense only with `{1}`")]
    OnlyWith(&'static str, &'static str),
}

/// The types in the order in which people want them.
const TYPES: [&str; 7] = ["local", "tar", "oci", "docker", "image", "registry", "cacheonly"];

impl OutputSpec {
    /// Reads the value of one `--output`: attributes, or a plain directory, or `-` for a tar on standard
    /// output.
    pub fn parse(text: &str) -> Result<Self, OutputSpecError> {
        // As buildx decides it: one field without `type=` is a path, even if it has an equals sign.
        if !text.contains(',') && !text.starts_with("type=") && !text.is_empty() {
            return Ok(match text {
                "-" => Self::Tar {
                    destination: Destination::Stdout,
                    files: FilesOptions::default(),
                },
                path => Self::Local {
                    directory: path.into(),
                    files: FilesOptions::default(),
                    mode: LocalMode::Copy,
                },
            });
        }
        let mut attributes = Attributes::parse(text)?;
        let spec = match attributes.require("type")?.as_str() {
            "local" => Self::local(&mut attributes)?,
            "tar" => Self::Tar {
                destination: destination(&mut attributes)?,
                files: FilesOptions::take(&mut attributes)?,
            },
            "oci" => Self::layout(Form::Oci, &mut attributes)?,
            "docker" => Self::layout(Form::Docker, &mut attributes)?,
            "image" => Self::image(false, &mut attributes)?,
            "registry" => Self::image(true, &mut attributes)?,
            "cacheonly" => Self::CacheOnly,
            given => {
                return Err(OutputSpecError::Type {
                    near: nearest(given, TYPES).and_then(|near| TYPES.into_iter().find(|known| *known == near)),
                    given: given.to_owned(),
                });
            }
        };
        attributes.finish()?;
        Ok(spec)
    }

    /// Returns a push of the image under its names: `--push`.
    pub fn registry() -> Self {
        Self::Image(ImageOutput {
            push: true,
            by_digest: false,
            insecure: false,
            options: ImageOptions::default(),
        })
    }

    /// Returns whether the image goes to registries.
    pub fn is_push(&self) -> bool {
        matches!(self, Self::Image(ImageOutput { push: true, .. }))
    }

    /// Returns whether the image goes to registries, and only `--tag` can say to which.
    pub fn is_push_without_name(&self) -> bool {
        matches!(self, Self::Image(image) if image.push && image.options.names.is_empty())
    }

    fn local(attributes: &mut Attributes) -> Result<Self, OutputSpecError> {
        let directory = attributes.require("dest")?;
        if directory == "-" {
            return Err(OutputSpecError::NeedsDirectory("local"));
        }
        let mode = attributes.take_as("mode", "`copy` or `delete`", |text| match text {
            "copy" => Some(LocalMode::Copy),
            "delete" => Some(LocalMode::Delete),
            _ => None,
        })?;
        Ok(Self::Local {
            directory: directory.into(),
            files: FilesOptions::take(attributes)?,
            mode: mode.unwrap_or_default(),
        })
    }

    fn layout(form: Form, attributes: &mut Attributes) -> Result<Self, OutputSpecError> {
        let destination = destination(attributes)?;
        let place = match (attributes.take_flag("tar")?, destination) {
            (Some(false), Destination::File(directory)) => LayoutPlace::Directory(directory),
            (Some(false), Destination::Stdout) => {
                return Err(OutputSpecError::NeedsDirectory(match form {
                    Form::Oci => "oci,tar=false",
                    Form::Docker => "docker,tar=false",
                }));
            }
            (_, destination) => LayoutPlace::Archive(destination),
        };
        Ok(Self::Layout {
            form,
            place,
            options: ImageOptions::take(attributes)?,
        })
    }

    fn image(registry: bool, attributes: &mut Attributes) -> Result<Self, OutputSpecError> {
        let push = attributes.take_flag("push")?.unwrap_or(registry);
        let by_digest = attributes.take_flag("push-by-digest")?.unwrap_or(false);
        if by_digest && !push {
            return Err(OutputSpecError::OnlyWith("push-by-digest", "push=true"));
        }
        // The store names everything by digest as it is, so this asks for what is always done.
        attributes.take_flag("name-canonical")?;
        if attributes.take_flag("unpack")? == Some(true) {
            return Err(OutputSpecError::Unsupported("unpack=true"));
        }
        Ok(Self::Image(ImageOutput {
            push,
            by_digest,
            insecure: attributes.take_flag("registry.insecure")?.unwrap_or(false),
            options: ImageOptions::take(attributes)?,
        }))
    }
}

impl FilesOptions {
    fn take(attributes: &mut Attributes) -> Result<Self, OutputSpecError> {
        let prefix = attributes.take_as("attestation-prefix", "the beginning of a file's name", |text| {
            (!text.contains(['/', '\0'])).then(|| text.to_owned())
        })?;
        Ok(Self {
            platform_split: attributes.take_flag("platform-split")?,
            epoch: OutputEpoch::take(attributes)?,
            attestation_prefix: prefix.unwrap_or_default(),
        })
    }
}

fn destination(attributes: &mut Attributes) -> Result<Destination, OutputSpecError> {
    Ok(match attributes.take("dest")?.as_deref() {
        None | Some("-") => Destination::Stdout,
        Some(path) => Destination::File(path.into()),
    })
}

#[cfg(test)]
mod tests;
