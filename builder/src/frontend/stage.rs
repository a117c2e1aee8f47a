//! A stage while it grows, and what it leaves to the stages that start from it.

use registry::oci::{ImageConfig, Platform};

use super::environment::{Environment, set_in_config};
use super::history::DeclaredArg;
use super::lowered::{Base, COMMENT, HistoryEntry};
use super::name::StepNames;
use crate::diagnostic::Span;
use crate::graph::VertexId;

/// What a stage has come to so far. `FROM stage` starts from a copy of it.
#[derive(Clone, Debug)]
pub(super) struct StageState {
    /// The root file system; `None` while it is empty.
    pub(super) rootfs: Option<VertexId>,
    /// The image that the first of the stages starts from.
    pub(super) base: Option<Base>,
    /// The config.
    pub(super) config: ImageConfig,
    /// The environment of steps: the config's, and `ARG`s.
    pub(super) env: Environment,
    /// The `ARG`s, which the history repeats with every `RUN`.
    pub(super) args: Vec<DeclaredArg>,
    /// The history above that of the base.
    pub(super) history: Vec<HistoryEntry>,
    /// The platform that steps run on.
    pub(super) platform: Platform,
}

impl StageState {
    /// Returns the state of a stage that starts with an empty file system.
    pub(super) fn empty(config: ImageConfig, platform: Platform) -> Self {
        Self {
            rootfs: None,
            base: None,
            config,
            env: Environment::default(),
            args: Vec::new(),
            history: Vec::new(),
            platform,
        }
    }

    /// Returns the working directory of steps.
    pub(super) fn cwd(&self) -> &str {
        match self.config.config.working_dir.as_str() {
            "" => "/",
            dir => dir,
        }
    }

    /// Sets a variable for steps and in the config.
    pub(super) fn set_env(&mut self, name: &str, value: &str) {
        self.env.set(name, value);
        set_in_config(&mut self.config, name, value);
    }

    /// Adds an entry without a layer to the history.
    pub(super) fn record(&mut self, created_by: String) {
        self.history.push(HistoryEntry {
            created_by: created_by.into(),
            comment: COMMENT,
            layer: None,
        });
    }

    /// Adds an entry to the history whose layer is the changes of `layer`, and goes on from `rootfs`, which has
    /// them.
    pub(super) fn record_layer(&mut self, created_by: String, layer: VertexId, rootfs: VertexId) {
        self.rootfs = Some(rootfs);
        self.history.push(HistoryEntry {
            created_by: created_by.into(),
            comment: COMMENT,
            layer: Some(layer),
        });
    }
}

/// A stage whose instructions are being lowered.
#[derive(Debug)]
pub(super) struct OpenStage {
    /// What it has come to.
    pub(super) state: StageState,
    /// The names of its steps.
    pub(super) names: StepNames,
    /// What it is called in the graph.
    pub(super) label: String,
    /// Whether the cache must not be asked for its steps.
    pub(super) no_cache: bool,
    /// Whether this very stage has set `CMD`, so that `ENTRYPOINT` leaves it alone.
    pub(super) has_cmd: bool,
    /// The `FROM` of the base image, while a trigger of that is lowered: its text is not in the Dockerfile.
    pub(super) trigger_from: Option<Span>,
}

impl OpenStage {
    /// Returns the name of the next step.
    pub(super) fn next_name(&mut self, what: &str, trigger: bool) -> String {
        self.names.next(what, trigger, &self.state.platform, &self.state.env)
    }
}
