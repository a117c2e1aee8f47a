//! `--call=outline`: what a target takes, found by watching the frontend. Base images are not asked for, so that
//! variables which only they set count as unset.

use std::collections::{BTreeMap, BTreeSet};

use registry::oci::{Digest, ImageConfig, Platform, Reference};
use serde::Serialize;

use super::{Location, encoded};
use crate::diagnostic::{Diagnostic, SourceFile, Span};
use crate::dockerfile::{InstructionKind, MountKind, described};
use crate::frontend::{self, Globals, LowerError, Observe, Request, ResolveError, ResolveImage, ResolvedImage, Seen};
use crate::graph::GraphBuilder;

/// What a target takes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Outline {
    /// Its name; empty if it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What the comment `# name text` says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Build arguments, in the order of the file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Argument>,
    /// Secrets, in the order of the file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Needed>,
    /// SSH agents, in the order of the file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssh: Vec<Needed>,
    sources: Vec<String>,
}

/// A build argument.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// What the comment `# NAME text` says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its value in this build; empty if it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// Its `ARG`.
    pub location: Location,
}

/// A secret or an SSH agent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Needed {
    /// Its id.
    pub name: String,
    /// Whether the build fails without it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// The `RUN` that first asks for it.
    pub location: Location,
}

/// Lists what the target of a request takes.
///
/// # Errors
/// If the Dockerfile is wrong.
pub fn outline(request: &Request) -> Result<Outline, Vec<Diagnostic>> {
    let mut watch = Watch::new(request);
    let lowered = frontend::lower(request, &Blank, &mut watch, &mut GraphBuilder::new());
    lowered.map_err(LowerError::into_diagnostics)?;
    Ok(watch.outline(request))
}

/// Answers that every image is an empty one.
struct Blank;

impl ResolveImage for Blank {
    fn resolve(&self, reference: &Reference, platform: &Platform) -> Result<ResolvedImage, ResolveError> {
        let config = ImageConfig {
            os: platform.os.clone(),
            architecture: platform.architecture.clone(),
            ..ImageConfig::default()
        };
        let digest = Digest::of(&[]);
        Ok(ResolvedImage {
            reference: reference.with_digest(digest),
            manifest_digest: digest,
            config,
        })
    }
}

/// A global argument.
struct Global {
    argument: Argument,
    /// The arguments that its default makes use of.
    uses: Vec<String>,
}

/// Remembers what is seen.
struct Watch<'a> {
    source: &'a SourceFile,
    globals: BTreeMap<String, Global>,
    /// The global arguments that something makes use of.
    used: BTreeSet<String>,
    args: Vec<Argument>,
    secrets: Vec<Needed>,
    ssh: Vec<Needed>,
    /// The instruction that is being looked at, and the comments above it.
    place: (Span, Vec<String>),
}

impl<'a> Watch<'a> {
    fn new(request: &'a Request) -> Self {
        Self {
            source: &request.dockerfile.source,
            globals: globals(request),
            used: BTreeSet::new(),
            args: Vec::new(),
            secrets: Vec::new(),
            ssh: Vec::new(),
            place: (Span::default(), Vec::new()),
        }
    }

    fn here(&self) -> Location {
        Location::of(self.source, self.place.0)
    }

    /// Marks a global argument, and what its default makes use of.
    fn make_use_of(&mut self, name: &str) {
        if let Some(global) = self.globals.get(name)
            && self.used.insert(name.to_owned())
        {
            for name in global.uses.clone() {
                self.make_use_of(&name);
            }
        }
    }

    fn outline(mut self, request: &Request) -> Outline {
        let dockerfile = &request.dockerfile;
        let used = &self.used;
        let globals = self.globals.into_iter().filter(|(name, _)| used.contains(name));
        self.args.extend(globals.map(|(_, global)| global.argument));
        self.args.sort_by_key(|argument| argument.location.line());
        self.secrets.sort_by_key(|secret| secret.location.line());
        self.ssh.sort_by_key(|agent| agent.location.line());
        let is_target = |stage: &&crate::dockerfile::Stage| match (&request.target, &stage.name) {
            (Some(target), Some(name)) => name.eq_ignore_ascii_case(target),
            _ => false,
        };
        let stages = &dockerfile.stages;
        let target = stages.iter().rfind(is_target).or_else(|| stages.last());
        Outline {
            name: target
                .and_then(|stage| stage.name.as_ref())
                .map_or(String::new(), |name| name.value.clone()),
            description: target.and_then(|stage| stage.comment.clone()),
            args: self.args,
            secrets: self.secrets,
            ssh: self.ssh,
            sources: vec![encoded(&dockerfile.source)],
        }
    }
}

impl Observe for Watch<'_> {
    fn see(&mut self, seen: Seen<'_>) {
        match seen {
            Seen::Stage { used, .. } => used.iter().for_each(|name| self.make_use_of(name)),
            Seen::Instruction { instruction, .. } => self.place = (instruction.span, instruction.comments.clone()),
            Seen::Argument {
                definition,
                inherited: true,
                ..
            } => self.make_use_of(&definition.name),
            Seen::Argument { definition, value, .. } => {
                let argument = Argument {
                    name: definition.name.value.clone(),
                    description: described(&self.place.1, &definition.name),
                    value: value.unwrap_or_default().to_owned(),
                    location: self.here(),
                };
                self.args.retain(|known| known.name != argument.name);
                self.args.push(argument);
            }
            Seen::Mount(mount) => {
                let list = match mount.kind {
                    MountKind::Secret => &mut self.secrets,
                    MountKind::Ssh => &mut self.ssh,
                    _ => return,
                };
                let id = match mount.kind {
                    MountKind::Ssh => mount.id.as_ref().map_or("default", |id| id).to_owned(),
                    _ => mount.secret_id(),
                };
                if !list.iter().any(|known| known.name == id) {
                    list.push(Needed {
                        name: id,
                        required: mount.required,
                        location: Location::of(self.source, self.place.0),
                    });
                }
            }
            _ => {}
        }
    }
}

/// Evaluates the global arguments one after the other; the last definition of a name counts.
fn globals(request: &Request) -> BTreeMap<String, Global> {
    let mut found = BTreeMap::new();
    let Ok(all) = Globals::new(request) else { return found };
    for instruction in &request.dockerfile.globals {
        let InstructionKind::Arg(definitions) = &instruction.kind else {
            continue;
        };
        for definition in definitions {
            let name = &definition.name.value;
            let given = request.build_args.contains_key(name);
            let default = definition.default.as_ref().filter(|_| !given);
            let uses = default.and_then(|default| all.expand(default).ok());
            let argument = Argument {
                name: name.clone(),
                description: described(&instruction.comments, name),
                // Once all are evaluated a name has the value of its last definition.
                value: all
                    .expand(&format!("${{{name}}}"))
                    .map_or(String::new(), |value| value.text),
                location: Location::of(&request.dockerfile.source, instruction.span),
            };
            let uses = uses.map_or(Vec::new(), |expanded| expanded.used);
            found.insert(name.clone(), Global { argument, uses });
        }
    }
    found
}
