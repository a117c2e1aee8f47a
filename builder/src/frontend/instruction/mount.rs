//! `RUN --mount`: what is left once options are read: inputs, absolute paths, and the defaults that depend on the
//! step.

use super::Input;
use crate::diagnostic::Diagnostic;
use crate::dockerfile::{self, MountKind, RunMount};
use crate::frontend::lowering::Lowering;
use crate::frontend::observe::Seen;
use crate::frontend::path::{file_name, join};
use crate::frontend::stage::OpenStage;
use crate::graph::VertexId;
use crate::op::{Mount, MountSource};

/// The mounts of a step, and what comes with them.
pub(super) struct Mounts {
    /// The inputs of the step, those of mounts at the end.
    pub(super) inputs: Vec<VertexId>,
    /// The mounts in order.
    pub(super) mounts: Vec<Mount>,
    /// Variables that hold secrets.
    pub(super) secret_variables: Vec<String>,
    /// Where the sockets of SSH agents are.
    pub(super) agents: Vec<String>,
}

impl Mounts {
    /// Starts with the inputs that the step has anyway.
    pub(super) fn new(inputs: Vec<VertexId>) -> Self {
        Self {
            inputs,
            mounts: Vec::new(),
            secret_variables: Vec::new(),
            agents: Vec::new(),
        }
    }

    /// Adds a mount; `from` is where its `from` has led.
    pub(super) fn add(
        &mut self,
        written: &RunMount,
        from: Input,
        stage: &OpenStage,
        lowering: &mut Lowering<'_>,
    ) -> Result<(), Diagnostic> {
        let mount = written.resolve(&mut |value| lowering.word(value, stage))?;
        lowering.see(Seen::Mount(&mount));
        let given = mount.target.as_ref().map(|target| join(stage.state.cwd(), target));
        if given.as_deref() == Some("/") {
            return Err(Diagnostic::error("invalid mount target \"/\"").at(mount.span, ""));
        }
        let target = given.clone().unwrap_or_default();
        match mount.kind {
            MountKind::Bind => {
                let vertex = from.unwrap_or_else(|| Some(lowering.context()));
                let input = vertex.map(|vertex| self.input(vertex));
                self.push(
                    target,
                    MountSource::Bind {
                        input,
                        path: source_path(&mount),
                        writable: mount.writable,
                    },
                );
            }
            MountKind::Cache => {
                let input = from.flatten().map(|vertex| self.input(vertex));
                self.push(
                    target,
                    MountSource::Cache {
                        id: cache_id(&mount, lowering),
                        sharing: mount.sharing,
                        input,
                        path: source_path(&mount),
                        readonly: !mount.writable,
                        mode: mount.mode.unwrap_or(0o755),
                        uid: mount.uid.unwrap_or(0),
                        gid: mount.gid.unwrap_or(0),
                    },
                );
            }
            MountKind::Tmpfs => self.push(target, MountSource::Tmpfs { size: mount.size }),
            MountKind::Secret => self.add_secret(&mount, given),
            MountKind::Ssh => self.add_agent(&mount, given),
        }
        Ok(())
    }

    /// Adds a secret: a file, a variable, or both. Its id is by default the file's name.
    fn add_secret(&mut self, mount: &dockerfile::Mount, target: Option<String>) {
        let id = mount.secret_id();
        let env = mount.env.as_ref().map(|name| {
            if name.is_empty() {
                id.clone()
            } else {
                name.value.clone()
            }
        });
        let target = match (target, &env) {
            (Some(target), _) => target,
            (None, Some(_)) => String::new(),
            (None, None) => format!("/run/secrets/{}", file_name(&id)),
        };
        self.secret_variables.extend(env.clone());
        self.push(
            target,
            MountSource::Secret {
                id,
                required: mount.required,
                mode: mount.mode.unwrap_or(0o400),
                uid: mount.uid.unwrap_or(0),
                gid: mount.gid.unwrap_or(0),
                env,
            },
        );
    }

    fn add_agent(&mut self, mount: &dockerfile::Mount, target: Option<String>) {
        let target = target.unwrap_or_else(|| format!("/run/buildkit/ssh_agent.{}", self.agents.len()));
        self.agents.push(target.clone());
        self.push(
            target,
            MountSource::Ssh {
                id: mount.id.as_ref().map_or("default", |id| id).to_owned(),
                required: mount.required,
                mode: mount.mode.unwrap_or(0o600),
                uid: mount.uid.unwrap_or(0),
                gid: mount.gid.unwrap_or(0),
            },
        );
    }

    /// Adds a mount that is ready.
    pub(super) fn push(&mut self, target: String, source: MountSource) {
        self.mounts.push(Mount { target, source });
    }

    fn input(&mut self, vertex: VertexId) -> usize {
        self.inputs
            .iter()
            .position(|input| *input == vertex)
            .unwrap_or_else(|| {
                self.inputs.push(vertex);
                self.inputs.len() - 1
            })
    }
}

fn source_path(mount: &dockerfile::Mount) -> String {
    join("/", mount.source.as_ref().map_or("", |source| source))
}

/// Returns the identity of a cache: by default its target as written, so that a relative one is the same cache in
/// every working directory.
fn cache_id(mount: &dockerfile::Mount, lowering: &Lowering<'_>) -> String {
    let target = mount.target.as_ref().map_or("", |target| target);
    let id = match &mount.id {
        Some(id) => id.value.clone(),
        None if target.starts_with('/') => join("/", target),
        None => join("/", target).trim_start_matches('/').to_owned(),
    };
    match lowering
        .request
        .build_args
        .get("BUILDKIT_CACHE_MOUNT_NS")
        .map(String::as_str)
    {
        None | Some("") => id,
        Some(namespace) => format!("{namespace}/{id}"),
    }
}
