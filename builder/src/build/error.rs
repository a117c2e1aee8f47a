//! Why a build failed, typed so that the command line can choose the exit code and point into the Dockerfile.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use registry::client::ClientError;
use registry::content::ContentError;
use registry::oci::Digest;
use snapshotter::{FsError, StackError};

use super::cache_export::CacheExportError;
use super::layers::ShipError;
use crate::attest::{BundleError, ScanError, StatementFileError};
use crate::cache::CacheError;
use crate::diagnostic::{Diagnostic, Span};
use crate::export::ExportError;
use crate::fetch::FetchError;
use crate::image::{ImportError, LayerError, PullError};
use crate::ops::OpError;
use crate::policy::PolicyError;
use crate::progress::StepId;
use crate::state_dir::StateDirError;

/// Why a build failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The Dockerfile is wrong: everything that is wrong with it.
    #[error("the Dockerfile has errors")]
    Dockerfile(Vec<Diagnostic>),
    /// The Dockerfile does not want to be built with warnings, and has some.
    #[error("{}", .0.message)]
    Lint(Box<Diagnostic>),
    /// A base image cannot be had.
    #[error("cannot resolve an image")]
    Image {
        /// What in the Dockerfile names it.
        origin: Option<Span>,
        /// A stage or named context whose name is like the image's.
        near: Option<String>,
        /// Why.
        #[source]
        source: Box<PullError>,
    },
    /// The source policy is against something that the build asks for.
    #[error("the source policy forbids it")]
    Policy {
        /// What in the Dockerfile asks for it.
        origin: Option<Span>,
        /// Why.
        source: PolicyError,
    },
    /// The source that gives the image its time cannot be had.
    #[error("cannot find out the time that `SOURCE_DATE_EPOCH` names")]
    Epoch {
        /// What in the Dockerfile names it.
        origin: Option<Span>,
        /// Why.
        #[source]
        source: Box<FetchError>,
    },
    /// A step failed.
    #[error("`{name}` failed")]
    Step {
        /// Its name.
        name: String,
        /// Its instruction.
        origin: Option<Span>,
        /// The displayed step, whose log says more.
        step: Option<StepId>,
        /// Why.
        #[source]
        source: Box<OpError>,
    },
    /// A part of croze panicked.
    #[error("a bug in croze: `{name}` panicked: {message}")]
    Panicked {
        /// The step.
        name: String,
        /// What the panic said.
        message: String,
    },
    /// An ignore file is wrong.
    #[error("the ignore file has errors")]
    IgnoreFile(Vec<Diagnostic>),
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateDirError),
    /// The content store cannot be used.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The records of the cache cannot be used.
    #[error(transparent)]
    Records(#[from] CacheError),
    /// The snapshots cannot be used.
    #[error(transparent)]
    Snapshots(#[from] FsError),
    /// Trees of them cannot be made.
    #[error(transparent)]
    Stacks(#[from] StackError),
    /// The file system of the state directory could not be examined.
    #[error("cannot write to `{}`", .path.display())]
    Examine {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A layer could not be packed or pushed.
    #[error(transparent)]
    Layer(#[from] Arc<ShipError>),
    /// A base's layer could not be compressed anew.
    #[error(transparent)]
    Recompress(#[from] LayerError),
    /// A base's layer could not be fetched.
    #[error(transparent)]
    Pull(Box<PullError>),
    /// The image could not be pushed.
    #[error("cannot push `{reference}`")]
    Push {
        /// Where to.
        reference: String,
        /// Why.
        #[source]
        source: Box<ClientError>,
    },
    /// The image that is to make SBOMs cannot.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// What the SBOM generator has written is no SBOM.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Attestations could not be written beside exported files.
    #[error(transparent)]
    Statements(#[from] StatementFileError),
    /// The result's files could not be had.
    #[error(transparent)]
    Files(Box<OpError>),
    /// A layer that another machine made could not be had.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A cache could not be exported; the image is where it should be.
    #[error("cannot export the cache to `{place}`")]
    CacheExport {
        /// Where to.
        place: String,
        /// Why.
        #[source]
        source: Box<CacheExportError>,
    },
    /// The image could not be written.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A document could not be written as JSON.
    #[error("cannot write the image's config or manifest")]
    Json(#[from] serde_json::Error),
    /// Blobs of the store were made anew, and were damaged again.
    #[error("what is written to the store is damaged again and again")]
    DamagedAgain {
        /// What came of it the last time.
        #[source]
        source: Box<BuildError>,
    },
    /// The build was interrupted.
    #[error("the build was cancelled")]
    Cancelled,
}

impl From<PullError> for BuildError {
    fn from(error: PullError) -> Self {
        Self::Pull(Box::new(error))
    }
}

impl BuildError {
    /// Returns the blob of a layer that turned out to be another one when it was packed again.
    pub(super) fn repacked(&self) -> Option<Digest> {
        match self {
            Self::Layer(error) => error.repacked(),
            _ => None,
        }
    }

    /// Returns what tells that a file was changed between the plan and its use, if it was that.
    pub(super) fn change(&self) -> Option<&OpError> {
        match self {
            Self::Step { source, .. } if source.is_change() => Some(source),
            _ => None,
        }
    }

    /// Returns whether it has left something behind that the user has to mend, also when they have interrupted the build.
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::Step { source, .. } if source.is_lasting())
    }

    /// Wraps the end of a thread that was doing `name`.
    pub(super) fn panicked(name: &'static str) -> impl FnOnce(tokio::task::JoinError) -> Self {
        move |panic| Self::Panicked {
            name: name.to_owned(),
            message: panic.to_string(),
        }
    }
}
