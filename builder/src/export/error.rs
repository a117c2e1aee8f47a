//! What can go wrong while an image is written somewhere.

use std::io;
use std::path::{Path, PathBuf};

use registry::content::ContentError;
use registry::oci::Digest;
use snapshotter::layer::PackError;
use snapshotter::{FsError, StackError};

/// Why an image cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file system refused.
    #[error("cannot {verb} `{}`", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The stream that the archive goes to refused.
    #[error("cannot write the archive")]
    Write(#[source] io::Error),
    /// A blob of the image is missing or damaged.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A blob could not be read to its end.
    #[error("cannot read blob `{digest}`")]
    ReadBlob {
        /// The blob.
        digest: Digest,
        /// Why it failed.
        source: io::Error,
    },
    /// The root file system could not be read, or the copy not be written.
    #[error(transparent)]
    Tree(#[from] FsError),
    /// The root file system could not be packed.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A form that holds one platform was asked to hold several.
    #[error("`type=docker` holds an image for one platform, not for {platforms}: use `type=oci`")]
    SeveralPlatforms {
        /// How many there are.
        platforms: usize,
    },
    /// A file that should be merged into is not what it should be.
    #[error("`{}` is not what an image layout has there; remove it or export to another directory", path.display())]
    NotOfALayout {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Something in the destination would lead the export out of it.
    #[error("`{}` is a symbolic link where the image has a directory; it is not followed", path.display())]
    LinkInTheWay {
        /// The link.
        path: PathBuf,
    },
    /// Something in the destination is a directory and the image has something else there.
    #[error("`{}` is a directory where the image has none; it is not removed", path.display())]
    DirectoryInTheWay {
        /// The directory.
        path: PathBuf,
    },
    /// Something in the destination is a file and the image has a directory there.
    #[error("`{}` is a file where the image has a directory; it is not removed", path.display())]
    FileInTheWay {
        /// The file.
        path: PathBuf,
    },
    /// Two platforms have a file under one name.
    #[error("cannot overwrite `{}` from {other} with {platform} when split option is disabled", path.display())]
    Collision {
        /// The name, below the top.
        path: PathBuf,
        /// The platform that comes second.
        platform: String,
        /// The platform that came first.
        other: String,
    },
    /// The root file system could not be mounted.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// A document of our own could not be written as JSON.
    #[error("cannot write a document as JSON")]
    Json(#[source] serde_json::Error),
}

impl ExportError {
    pub(crate) fn io(verb: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { verb, path, source }
    }

    /// Reports a failed read of a blob: damage as such, anything else with the blob's name.
    pub(super) fn read_blob(digest: Digest) -> impl FnOnce(io::Error) -> Self {
        move |error| match error.downcast::<ContentError>() {
            Ok(content) => content.into(),
            Err(source) => Self::ReadBlob { digest, source },
        }
    }
}
