//! A step that the end of a build is displayed as: told to have ended even if the build ends first.

use std::fmt::Display;

use registry::oci::Digest;

use crate::progress::{Progress, StepId};

/// A displayed step that has begun. What it has brought about is shown when it ends, which it does at the latest when this is
/// dropped.
pub(super) struct Shown<'a> {
    progress: &'a Progress,
    step: StepId,
    /// What it has failed with, as far as is known.
    error: Option<String>,
}

impl<'a> Shown<'a> {
    /// Begins.
    pub(super) fn begin(progress: &'a Progress, name: &str, digest: Digest) -> Self {
        let step = progress.declare(name, digest, Vec::new());
        progress.started(step);
        Self {
            progress,
            step,
            error: Some("cancelled".to_owned()),
        }
    }

    pub(super) fn step(&self) -> StepId {
        self.step
    }

    /// Ends as `outcome` says.
    pub(super) fn end<T>(mut self, outcome: &Result<T, impl Display>) {
        self.error = outcome.as_ref().err().map(ToString::to_string);
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.progress.completed(self.step, self.error.take());
    }
}
