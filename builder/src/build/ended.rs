//! What is kept of a build that has ended, for `croze explain` and others.

use registry::oci::Reference;

use super::{BuildError, BuildRequest, Services};
use crate::diagnostic::Diagnostic;
use crate::history::{BuildRecord, Outcome, Step};
use crate::progress::Progress;

/// A build that has ended.
pub(super) struct Ended<'a> {
    pub(super) request: &'a BuildRequest,
    pub(super) services: &'a Services,
    /// What its steps have done; none if it could not be planned.
    pub(super) steps: Vec<Step>,
}

impl Ended<'_> {
    /// Keeps it in the history; `error` is what it has failed with, if it has.
    pub(super) fn remember(self, error: Option<&BuildError>, progress: &Progress) {
        let Self {
            request,
            services,
            steps,
        } = self;
        let took = jiff::Timestamp::now().duration_since(services.started);
        let context = request.directories.get("context");
        let record = BuildRecord {
            id: services.build_id.clone(),
            started: services.started.to_string(),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(0),
            outcome: match error {
                None => Outcome::Succeeded,
                Some(BuildError::Cancelled) => Outcome::Cancelled,
                Some(error) => Outcome::Failed {
                    error: error.to_string(),
                },
            },
            dockerfile: request.dockerfile.name().to_owned(),
            context: context.map(|context| context.path.display().to_string()),
            target: request.target.clone(),
            platforms: request.platforms.iter().map(ToString::to_string).collect(),
            tags: request.tags.iter().map(Reference::familiar).collect(),
            steps,
        };
        let is_alive = |name: &str| services.state.is_alive(name);
        if let Err(error) = record.save(&services.log_directory(), services.scratch.path(), &is_alive) {
            let warning = Diagnostic::warning("the history of this build could not be kept").because(&error);
            progress.warn(warning);
        }
    }
}
